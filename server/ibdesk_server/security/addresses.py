"""The client address and the host name of a request, which are trusted only if verified."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import Scope

from ibdesk_server.security.ip_addresses import Address, parse_address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Addresses:
    """The trusted proxies and the server's host names."""

    def __init__(self, *, trusted_proxies: Iterable[Network] = (), hosts: Iterable[str] = ()) -> None:
        self._proxies = tuple(trusted_proxies)
        self._hosts = frozenset(hosts) | {"localhost"}

    def client(self, scope: Scope) -> str:
        """Return the client's address: the peer's or, if the peer is a trusted proxy, the one that the proxy reports.

        Each proxy appends its peer's address to ``X-Forwarded-For``. Entries before the last address that is not a
        trusted proxy may be forged by the client. All addresses of an IPv6 /64 count as one.
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
        """Return whether the request's ``Host`` is one of the server's names.

        A page of another site can point its own name at this machine (DNS rebinding), but it cannot change the ``Host``
        that its browser sends. IP addresses are always accepted.
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
