"""IP addresses as text."""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_address(text: str) -> Address | None:
    """Parse an address, None if it is not valid; an IPv4 address written as IPv6 becomes IPv4."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_loopback(host: str) -> bool:
    """Return whether a listener at this host can be reached only from this machine."""
    address = parse_address(host)
    return host == "localhost" or (address is not None and address.is_loopback)
