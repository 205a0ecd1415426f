"""One command that stops an account: the guardian carries it out, or this process if no guardian answers.

It needs neither the engine, which may hang, nor the web, nor Redis. The halt is written first, so that an engine which
lives, or recovers, sends nothing that opens a position.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from ibdesk.clock import monotonic_ns, wall_ns
from ibdesk.errors import ConfigError, DeskError
from ibdesk.guardian.config import GuardianConfig
from ibdesk.guardian.decisions import Rules
from ibdesk.guardian.engine_process import EngineKill, engine_of, kill, listener_at
from ibdesk.guardian.fence import Fence
from ibdesk.guardian.record import Record
from ibdesk.guardian.stop import Level, name_of, words_of
from ibdesk.guardian.watch import Watch, halt_words

# A live guardian answers within milliseconds.
_ANSWER_SECONDS = 2.0
_LOOK_SECONDS = 0.1
# The longest wait for the link to TWS before a stop begins.
_LINK_SECONDS = 5.0
# Client ids from here on are not chosen by hand; each stop of a process has its own.
_FIRST_CLIENT_ID = 100_000_000
_numbers = itertools.count()

Reporter = Callable[[str], None]


class StopRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to stop: how far, why, by whom, and how long to wait."""

    level: Level = Level.HALT
    kill: bool = False
    reason: str = "stopped by hand"
    by: str = ""
    account: str = ""
    seconds: float = 60.0


class StopOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a stop, after some seconds.

    `failure` is why it is not `done`, empty if it is. `halt_id` is the halt that is in force until a person lifts it.
    """

    done: bool
    level: Level
    halt_id: str
    account: str
    by_guardian: bool
    seconds: float
    orders_sent: int = 0
    cancels_sent: int = 0
    open_orders: int = 0
    positions: dict[str, float] = {}
    failure: str = ""


async def stop_account(config: GuardianConfig, request: StopRequest, tell: Reporter = lambda _: None) -> StopOutcome:
    """Stop the account, and return the outcome; `tell` receives each step.

    Raises:
        ConfigError: If the account is required and missing, or is another one.
    """
    if config.mode == "live" and (not request.account or request.account != config.account):
        raise ConfigError(
            f"mode is live: name the account that is to be stopped (--account {config.account or 'U1234567'})"
        )
    if request.account and config.account and request.account != config.account:
        raise ConfigError(f"the settings are for account {config.account}, not for {request.account}")
    began_ns, tell = monotonic_ns(), _undisturbed(tell)
    try:
        return await _by_guardian(config, request, tell, began_ns)
    except OSError as error:
        tell(f"the guardian does not answer ({_words(error)}), so this command does its work")
    _end_hung_guardian(config, tell)
    return await _alone(config, request, tell, began_ns)


def _undisturbed(tell: Reporter) -> Reporter:
    """Return a reporter that ignores a full disk and a closed pipe."""

    def say(text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            tell(text)

    return say


# --- by the guardian


async def _by_guardian(config: GuardianConfig, request: StopRequest, tell: Reporter, began_ns: int) -> StopOutcome:
    """Have the guardian stop the account, and wait until it is done.

    Raises:
        OSError: If it does not answer, or stops answering.
        DeskError: If it refuses.
    """
    command = {
        "do": request.level.value,
        "reason": words_of(request.reason),
        "by": name_of(request.by),
        "account": request.account or config.account,
        "kill": request.kill,
    }
    answer = await _ask(config, command)
    if not answer["ok"]:
        raise DeskError(f"the guardian refuses: {answer['error']}")
    halt_id = str(answer["stop"]["id"])
    tell(f"halted by the guardian as {halt_id}, {_seconds(began_ns):.2f} s")
    while True:
        status = await guardian_status(config)
        failure = failure_of(status, halt_id, kill=request.kill)
        if not failure or _is_final(status, halt_id) or _seconds(began_ns) > request.seconds:
            return _outcome(
                status, halt_id, request, began_ns, by_guardian=True,
                failure=failure and f"{failure}{'' if _is_final(status, halt_id) else '; the guardian continues'}",
            )  # fmt: skip
        await asyncio.sleep(_LOOK_SECONDS)


async def guardian_status(config: GuardianConfig) -> dict[str, Any]:
    """Return the state of account, engine and guardian, as the guardian reports it.

    Raises:
        OSError: If it does not answer.
    """
    return await _ask(config, {"do": "status"})


async def _ask(config: GuardianConfig, command: dict[str, Any]) -> dict[str, Any]:
    """Return the guardian's answer.

    Raises:
        OSError: If there is no answer.
    """
    async with asyncio.timeout(_ANSWER_SECONDS):
        reader, writer = await asyncio.open_unix_connection(config.command_socket)
        try:
            writer.write(msgspec.json.encode(command) + b"\n")
            line = await reader.readline()
        finally:
            writer.transport.abort()
    if not line.endswith(b"\n"):
        raise ConnectionError("it closed the connection")
    answer: dict[str, Any] = msgspec.json.decode(line)
    return answer


def _end_hung_guardian(config: GuardianConfig, tell: Reporter) -> None:
    """Kill a guardian that holds its address and does not answer: it must not act when it recovers."""
    found = listener_at(config.command_socket)
    if found is None:
        return
    if kill(found):
        tell(f"the guardian (process {found.pid}) hangs and was killed")
    else:
        tell("the guardian hangs and cannot be ended from here: end it where it runs")


# --- without one


async def _alone(config: GuardianConfig, request: StopRequest, tell: Reporter, began_ns: int) -> StopOutcome:
    """Do a guardian's work for this one stop, over a separate connection."""
    account = request.account or config.account or account_in(config)
    config = msgspec.structs.replace(
        config,
        name="stop",
        client_id=_FIRST_CLIENT_ID + 100 * os.getpid() + next(_numbers) % 100,
        account=account if config.mode != "embedded" else "",
        rules=Rules(),
    )
    # Only this stop is carried out, without those of earlier processes, so only its orders outlive it.
    record = Record(config.log, None, say=tell)
    try:
        words = halt_words(request.level, reason=request.reason, by=request.by)
        fence = Fence(config.mode, record)
        halt_id = fence.put(account, words, level=request.level, at_ns=wall_ns()) if account else ""
        if halt_id and config.mode != "embedded":
            tell(f"halted as {halt_id}, {_seconds(began_ns):.2f} s")
        attempt = _kill_engine(config, tell) if request.kill else None
        if attempt is not None and config.mode == "embedded" and attempt.pid:
            tell("the embedded account has ended with its engine")
            return StopOutcome(
                done=not attempt.failure, level=request.level, halt_id="", account="", by_guardian=False,
                seconds=_seconds(began_ns), failure=attempt.failure,
            )  # fmt: skip
        return await _carried_out(config, record, request, attempt, began_ns)
    finally:
        record.close()


def _kill_engine(config: GuardianConfig, tell: Reporter) -> EngineKill:
    """Kill the engine, which holds the account's lock or listens at the desk's socket."""
    found = engine_of(config.lock_of(config.account)) if config.account else None
    found = found or listener_at(config.desk_socket)
    if found is None:
        tell("no engine runs: there is nothing to kill")
        return EngineKill(is_sent=True)
    if kill(found):
        tell(f"the engine (process {found.pid}) was killed")
        return EngineKill(found.pid, is_sent=True)
    tell("the engine's process cannot be ended from here: end it where it runs")
    return EngineKill(found.pid)


async def _carried_out(
    config: GuardianConfig, record: Record, request: StopRequest, attempt: EngineKill | None, began_ns: int
) -> StopOutcome:
    watch = Watch(config, record, only_stops=True)
    running = asyncio.create_task(watch.run(), name="stop")
    try:
        await _any(running, watch.until_up(), seconds=_LINK_SECONDS)
        stop = watch.stop(request.level, reason=request.reason, by=request.by)
        left = request.seconds - _seconds(began_ns)
        await _any(running, watch.until_done(), seconds=max(left, 0.0))
        if attempt is not None:
            await _any(running, _until_ended(attempt), seconds=_ANSWER_SECONDS)
        status = watch.status()
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    if attempt is not None:
        status["kills"] = {stop.id: attempt.failure}
    failure = failure_of(status, stop.id, kill=request.kill)
    return _outcome(
        status, stop.id, request, began_ns, by_guardian=False,
        failure=failure and f"{failure}; it has ended, and its orders may still be filled: start the command again",
    )  # fmt: skip


async def _until_ended(attempt: EngineKill) -> None:
    while True:
        if not attempt.failure:
            return
        await asyncio.sleep(_LOOK_SECONDS)


# --- what came of it


def failure_of(status: dict[str, Any], halt_id: str, *, kill: bool) -> str:
    """Return why a stop is not known to be done, by a guardian's status; empty if it is."""
    outcome = status["outcomes"].get(halt_id)
    if outcome is None:
        return _why_not(status)
    if outcome["state"] == "abandoned":
        return f"the halt {halt_id} was lifted before the stop was done, so it was abandoned"
    if outcome["state"] == "ended" and not kill:
        return "the embedded account has ended with its engine before the stop was done"
    return str(status["kills"].get(halt_id, "it is not known whether the engine was killed")) if kill else ""


def _is_final(status: dict[str, Any], halt_id: str) -> bool:
    """Return whether no process continues the stop, although it is not done."""
    outcome = status["outcomes"].get(halt_id)
    return outcome is not None and outcome["state"] != "done"


def _outcome(
    status: dict[str, Any], halt_id: str, request: StopRequest, began_ns: int, *, by_guardian: bool, failure: str
) -> StopOutcome:
    came: dict[str, Any] = status["outcomes"].get(halt_id, {})
    return StopOutcome(
        done=not failure,
        level=request.level,
        halt_id=halt_id,
        account=status["account"],
        by_guardian=by_guardian,
        seconds=_seconds(began_ns),
        orders_sent=came.get("orders_sent", 0),
        cancels_sent=came.get("cancels_sent", 0),
        open_orders=status["open_orders"],
        positions=status["positions"],
        failure=failure,
    )


async def _any(running: asyncio.Task[None], wanted: Coroutine[Any, Any, object], *, seconds: float) -> bool:
    """Wait for `wanted`, and return whether it came in time; an error of `running` is raised."""
    waiting = asyncio.create_task(wanted)
    try:
        await asyncio.wait({running, waiting}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
        return waiting.done()
    finally:
        waiting.cancel()


def account_in(config: GuardianConfig, *, only_held: bool = False) -> str:
    """Return the only account that an engine of this folder trades or, unless `only_held`, has traded."""
    folder = config.lock_of("any").parent
    names = [path.stem.removeprefix(f"{config.mode}-") for path in folder.glob(f"{config.mode}-*.lock")]
    held = [name for name in names if engine_of(config.lock_of(name)) is not None]
    found = held if only_held else held or names
    return found[0] if len(found) == 1 else ""


def _why_not(status: dict[str, Any]) -> str:
    if status["link"] != "up":
        return f"TWS cannot be reached ({status['link']}), so orders and positions are as they were"
    held = ", ".join(f"{name} {quantity:g}" for name, quantity in status["positions"].items()) or "nothing"
    return f"not done yet: {status['open_orders']} orders work, the account holds {held}"


def _seconds(began_ns: int) -> float:
    return (monotonic_ns() - began_ns) / 1e9


def _words(error: OSError) -> str:
    return error.strerror or str(error) or "no answer"
