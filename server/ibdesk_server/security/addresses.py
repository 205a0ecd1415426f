"""Where a request comes from, and what it calls us: neither is believed without a reason."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import Scope

from ibdesk_server.security.ip_addresses import Address, parse_address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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
        address = parse_address(peer[0]) if peer else None
        if address is None:
            return "unknown"
        forwarded = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
        while self._is_proxy(address) and forwarded:
            named = parse_address(forwarded.pop().strip())
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
        return name in self._hosts or parse_address(name) is not None

    def _is_proxy(self, address: Address) -> bool:
        return any(address in network for network in self._proxies)


def _host_name(host: str) -> str:
    """Return a ``Host`` header without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower().rstrip(".")
