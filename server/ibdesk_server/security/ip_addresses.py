"""Addresses of the internet protocol, as text has them."""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_address(text: str) -> Address | None:
    """Return an address as text has it, one of IPv4 that is written as IPv6 as the former, or None if it is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches what listens at this host."""
    address = parse_address(host)
    return host == "localhost" or (address is not None and address.is_loopback)
