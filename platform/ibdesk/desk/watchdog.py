"""Watches the desk's thread from another one: interrupts strategies that do not return, and tells of a loop that lags.

A strategy's code runs on the desk's thread, so one that never returns would hang the whole desk. What cannot be
interrupted is compiled code that runs (a long regular expression, `time.sleep`, a Polars query): the loop's lag is
told at once, and the guardian, `ibdesk up` and systemd act on it from outside the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Self

from ibdesk.clock import Clock, monotonic_ns
from ibdesk.desk.engine_settings import EngineSettings
from ibdesk.desk.publisher import Publisher
from ibdesk.desk.recorder import Recorder
from ibdesk.engine import Engine, may_be_interrupted
from ibdesk.errors import DeskError
from ibdesk.interrupts import CallInterrupted
from ibdesk.model import Action, Event, Notice, Severity

_log = logging.getLogger(__name__)

# How often the desk's thread is looked at; and how often, while an interruption is due, until it takes effect.
_LOOK_SECONDS, _TRY_SECONDS = 0.1, 0.001
# What a look counts for at most that comes late.
_LONGEST_GAP_SECONDS = 1.0
# How long an interruption waits for a moment in which the code of the engine is not amid a change.
_GENTLE_SECONDS = 1.0
# How many lines of a strategy's code its note names, the innermost last.
_MOST_LINES = 5
# The module whose frame is the beginning of an event.
_ENGINE = "ibdesk.engine.engine"


class _TakenBackError(BaseException):
    """What a thread that has taken an exception back raises in itself."""


class Watchdog:
    """Stands between the desk and its engine; `handle` is `Engine.handle`, watched."""

    def __init__(
        self,
        engine: Engine,
        settings: EngineSettings,
        *,
        clock: Clock,
        recorder: Recorder,
        publisher: Publisher,
        turn: Callable[[Event], None],
    ) -> None:
        """Make one that watches nothing yet: interruptions go on the record, and people are told through the feed.

        That the loop comes round again is told by `turn`, as an event.
        """
        self._engine, self._settings, self._handle = engine, settings, engine.handle
        self._clock, self._recorder, self._publisher, self._turn = clock, recorder, publisher, turn
        # event: what the engine handles now. has_fired: an interruption was raised in it, or is about to be.
        self.event: Event | None = None
        self.has_fired = False
        self._lock = threading.Lock()
        self._thread_id = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ibdesk-watchdog", daemon=True)
        # What was seen at the last look: the event, the call of a strategy in it, and how long it has been seen.
        self._seen: tuple[Event | None, FrameType | None] = (None, None)
        self._spent = 0.0
        # What goes on being raised in a call that was found to be one that cannot be interrupted.
        self._pending: type[CallInterrupted] | None = None
        self._beaten_at = self._looked_at = _now()
        self._lags_since = 0.0
        self._broken = asyncio.Event()
        self._failure = DeskError("")
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> Self:
        """Watch the calling thread and its loop from now on."""
        self._thread_id, self._loop = threading.get_ident(), asyncio.get_running_loop()
        self._beaten_at = self._looked_at = _now()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    # --- on the desk's thread

    def handle(self, event: Event) -> Sequence[Action]:
        """Have the engine handle an event; raises as `Engine.handle`.

        Raises:
            DeskError: If the engine itself was interrupted: the desk ends, and goes on from its journal.
        """
        self.event = event
        try:
            return self._handle(event)
        except CallInterrupted as error:
            raise self._break(error) from error
        finally:
            self.event = None
            if self.has_fired:
                try:
                    self._settle()
                except CallInterrupted:
                    # It came after the call and before `_settle` could take it back; there is never a second one.
                    self._settle()

    def beat(self) -> None:
        """Take note that the loop comes round."""
        self._beaten_at = _now()

    @property
    def seconds_behind(self) -> float:
        """How long ago the loop came round; from any thread."""
        return _now() - self._beaten_at

    async def until_broken(self) -> None:
        """Wait for ever.

        Raises:
            DeskError: When the engine itself was interrupted.
        """
        await self._broken.wait()
        raise self._failure

    def _settle(self) -> None:
        """Take back an interruption that came too late for its call, and put on the record those that did not."""
        try:
            self._disarm()
        except CallInterrupted:
            # It has come between the end of the call and here; there is never a second one.
            self._disarm()
        found, self._engine.calls.interrupted = self._engine.calls.interrupted, []
        for interruption in found:
            self._recorder.record(interruption, ())

    def _disarm(self) -> None:
        with self._lock:
            take_back(self._thread_id)
            self.has_fired = False

    def _break(self, error: CallInterrupted) -> DeskError:
        """Handle nothing more: what the engine knows may be half changed, and only the journal is to be trusted."""
        self._failure = DeskError(f"the engine was interrupted amid its own work, so the desk ends: {error}")
        self._handle = self._refuse
        self._broken.set()
        return self._failure

    def _refuse(self, event: Event) -> Sequence[Action]:
        del event
        raise self._failure

    # --- on a thread of its own

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            now = _now()
            self._look_at_loop(now)
            if self._settings.call_seconds:
                self._look_at_call(now)
            self._looked_at = _now()

    def _look_at_loop(self, now: float) -> None:
        behind, limit = now - self._beaten_at, self._settings.lag_seconds
        if self._lags_since:
            if behind < limit:
                text = f"the engine's loop comes round again, after {self._beaten_at - self._lags_since:.1f} s"
                self._lags_since = 0.0
                _log.warning("%s", text)
                self._put_on_record(text)
        elif behind >= limit:
            self._lags_since = self._beaten_at
            if now - self._looked_at >= limit:
                what = "this process was stopped, or got no processor"
            else:
                what = f"it is at {_lines_of(sys._current_frames().get(self._thread_id), is_any=True)}"
            text = f"the engine's loop has not come round for {behind:.1f} s, and nothing is traded meanwhile: {what}"
            self._tell(text)

    def _put_on_record(self, text: str) -> None:
        notice = Notice(text, self._clock.now_ns(), Severity.WARNING)
        # The loop may be closed already.
        with contextlib.suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._turn, notice)

    def _tell(self, text: str) -> None:
        """Tell people at once, although nothing comes to the record while the desk's thread hangs."""
        _log.critical("%s", text)
        self._publisher.alert(self._clock.now_ns(), Severity.ERROR, "engine", text)

    def _look_at_call(self, now: float) -> None:
        event = self.event
        call = None if event is None else _outermost(sys._current_frames().get(self._thread_id))
        if event is None or call is None:
            # The engine's own code is never interrupted while nobody's call waits for it.
            self._seen = (None, None)
            return
        if event is not self._seen[0] or call is not self._seen[1]:
            self._seen, self._spent, self._pending = (event, call), 0.0, None
            return
        # A call cannot return while this process is stopped or its machine sleeps: a long gap counts for little.
        self._spent += min(now - self._looked_at, _LONGEST_GAP_SECONDS)
        if self._pending is not None:
            self._tried(event, call, self._pending, by_force=False)
        elif self._spent >= self._settings.call_seconds:
            self._interrupt(event, call)

    def _interrupt(self, event: Event, call: FrameType) -> None:
        """Interrupt a call, again and again if it goes on over it."""
        frame = sys._current_frames().get(self._thread_id)
        note = f"did not return within {self._settings.call_seconds:g} s (engine.call_seconds): at {_lines_of(frame)}"
        _log.critical("a call of a strategy %s", note)
        kind = _interruption(note, self._engine.calls.note_interruption)
        ends = _now() + _GENTLE_SECONDS
        while self._tried(event, call, kind, by_force=False):
            if _now() > ends:
                break
        else:
            return
        # Compiled code has not returned, or all the time is spent in the engine.
        self._tried(event, call, kind, by_force=True)
        if self._tried(event, call, None, by_force=True):
            self._pending = kind
            text = f"a call of a strategy cannot be interrupted, for it is in compiled code; it {note}"
            self._tell(text)

    def _tried(self, event: Event, call: FrameType, kind: type[CallInterrupted] | None, *, by_force: bool) -> bool:
        """Raise `kind` in the call if it goes on, and wait for the effect; return whether it goes on."""
        time.sleep(_TRY_SECONDS)
        with self._lock:
            # In this order: either the desk's thread sees it when the event is done, or it is seen here to be done.
            self.has_fired = True
            frame = sys._current_frames().get(self._thread_id)
            if self.event is not event or _outermost(frame) is not call or frame is None:
                return False
            if kind is not None and (by_force or may_be_interrupted(_outward(frame))):
                _raise_in(self._thread_id, kind)
        return True


def _now() -> float:
    """Return the machine's monotonic time, in seconds."""
    return monotonic_ns() / 1e9


def _raise_in(thread_id: int, kind: type[BaseException]) -> None:
    """Have a thread raise an exception at its next instruction of Python."""
    _set_exception(thread_id, kind)


def take_back(thread_id: int) -> None:
    """Have a thread not raise an exception that it was to raise and has not raised yet.

    Python 3.11 and 3.12 then look for one at each call in every thread until some thread has raised one, and in 3.11 a
    debugger or profiler would wait for that for ever (`_PyEval_SignalAsyncExc` in CPython's `ceval.c`). So a thread
    made for it raises one: in the main thread a signal's handler could come in between.
    """
    _set_exception(thread_id, None)
    raising = threading.Thread(target=_raise_in_itself, name="ibdesk-take-back")
    raising.start()
    raising.join()


def _raise_in_itself() -> None:
    with contextlib.suppress(_TakenBackError):
        _set_exception(threading.get_ident(), _TakenBackError)
        while True:
            pass


def _set_exception(thread_id: int, kind: type[BaseException] | None) -> None:
    exception = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), exception)


def _interruption(note: str, on_raise: Callable[[CallInterrupted], None]) -> type[CallInterrupted]:
    """Return an exception that another thread can raise, which is told by its class alone."""

    class Interruption(CallInterrupted):
        def __init__(self) -> None:
            super().__init__(note)
            on_raise(self)

    # The record has the name, and a replay raises the class itself.
    Interruption.__name__ = CallInterrupted.__name__
    return Interruption


def _outward(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _outermost(frame: FrameType | None) -> FrameType | None:
    """Return the frame with which the engine's code has called that of others, None where it has not."""
    found = None
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module == _ENGINE:
            return found
        if not module.startswith("ibdesk."):
            found = frame
        frame = frame.f_back
    return None


def _lines_of(frame: FrameType | None, *, is_any: bool = False) -> str:
    """Return where a strategy's code is, its calls from the outermost on; with `is_any` whatever code it is."""
    found: list[str] = []
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module == _ENGINE and not is_any:
            break
        if is_any or not module.startswith("ibdesk."):
            code = frame.f_code
            found.append(f"{code.co_filename.rpartition('/')[2]}:{frame.f_lineno} in {code.co_name}")
        frame = frame.f_back
    return " > ".join(reversed(found[:_MOST_LINES])) or "code of the engine"
