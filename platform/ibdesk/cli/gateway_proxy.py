"""`ibdesk gateway --proxy` and `--replay-conversation`: record a real TWS, and play a recording."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

from ibdesk.cli.gateway import TrafficOptions, print_line, stop_asked, until_stopped
from ibdesk.cli.screen import line, step
from ibdesk.errors import AddressInUseError, ConfigError, IbdeskError
from ibdesk.gateway.listening import Listeners
from ibdesk.gateway.proxy import Playback, Proxy, read_conversation


def run_proxy_until_stopped(
    upstream: str, watching: TrafficOptions, *, host: str, port: int, seconds: float | None
) -> None:
    """Forward all messages between clients and the TWS at `upstream` (HOST:PORT), and log or record them.

    Raises:
        AddressInUseError: If the port is taken.
        ConfigError: If the address is invalid, or a file cannot be written.
    """
    tws = _address(upstream)
    with contextlib.ExitStack() as cleanup:
        listeners = Listeners(watching.listeners(cleanup, time.time_ns))
        asyncio.run(_pass_on(Proxy(tws, listener=listeners, host=host, port=port), watching, seconds=seconds))


async def _pass_on(proxy: Proxy, watching: TrafficOptions, *, seconds: float | None) -> None:
    with stop_asked() as stop:
        await _start(proxy)
        try:
            step(f"proxy on {proxy.host}:{proxy.port}")
            address = f"{proxy.upstream[0]}:{proxy.upstream[1]}"
            line("TWS", f"{address}: receives every client message unchanged, orders included")
            if watching.record is not None:
                line("record", f"{watching.record}, with account ids masked")
            await until_stopped(stop, lambda: None, seconds=seconds)
        finally:
            await proxy.stop()


def run_playback_until_stopped(path: Path, *, timed: bool, host: str, port: int, seconds: float | None) -> None:
    """Answer clients from a recording, and report requests that differ from it.

    Raises:
        AddressInUseError: If the port is taken.
        DataError: If the recording cannot be read.
        IbdeskError: If a client's requests differed; raised when the playback ends.
    """
    playback = Playback(read_conversation(path), host=host, port=port, timed=timed, report=print_line)
    asyncio.run(_play(playback, path, seconds=seconds))
    if playback.differences:
        more = f" (and {len(playback.differences) - 1} more)" if len(playback.differences) > 1 else ""
        raise IbdeskError(f"{playback.differences[0]}{more}")


async def _play(playback: Playback, path: Path, *, seconds: float | None) -> None:
    with stop_asked() as stop:
        await _start(playback)
        try:
            step(f"playback on {playback.host}:{playback.port}")
            line("recording", str(path))
            await until_stopped(stop, lambda: None, seconds=seconds)
        finally:
            await playback.stop()


async def _start(server: Proxy | Playback) -> None:
    try:
        await server.start()
    except AddressInUseError as error:
        raise AddressInUseError(error.host, error.port, "--port") from None


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port[:6]) <= 65535):
        raise ConfigError(f"--proxy {text!r} is not an address: write HOST:PORT, as in 127.0.0.1:7496")
    return host.strip("[]"), int(port)
