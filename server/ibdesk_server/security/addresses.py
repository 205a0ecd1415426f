"""Where a request comes from, and what it calls us: neither is believed without a reason."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import Scope

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Addresses:
    """Knows which proxies are ours, and by which names we are called."""

    def __init__(self, *, trusted_proxies: Iterable[Network] = (), hosts: Iterable[str] = ()) -> None:
        self._proxies = tuple(trusted_proxies)
        self._hosts = frozenset(hosts) | {"localhost"}

    def client(self, scope: Scope) -> str:
        """Return the address of who asks: the peer's or, when that is a proxy of ours, the one the proxy names.

        Each proxy adds at the end of ``X-Forwarded-For`` whom it heard; what stands before the last that is no proxy
        of ours was written by the client and may be anything. All of one IPv6 subscriber's addresses (/64) are one.
        """
        peer = scope.get("client")
        address = _parsed(peer[0]) if peer else None
        if address is None:
            return "unknown"
        forwarded = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
        while self._is_proxy(address) and forwarded:
            named = _parsed(forwarded.pop().strip())
            if named is None:
                break
            address = named
        if address.version == 6:
            return str(ipaddress.ip_network((address, 64), strict=False))
        return str(address)

    def knows_host(self, headers: Headers) -> bool:
        """Return whether the name that a request calls us by is one of ours.

        A page of another site can have its own name point at this machine (DNS rebinding), but it cannot change what
        its browser then writes into ``Host``. Plain addresses are nobody's name.
        """
        name = _host_name(headers.get("host", ""))
        return name in self._hosts or _parsed(name) is not None

    def _is_proxy(self, address: _Address) -> bool:
        return any(address in network for network in self._proxies)


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches what listens at this host."""
    address = _parsed(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _host_name(host: str) -> str:
    """Return a ``Host`` header without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower().rstrip(".")


def _parsed(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
