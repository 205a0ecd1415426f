"""A thread that watches the desk's thread: it interrupts strategies that do not return, and reports a lagging loop.

A strategy's code runs on the desk's thread, so a call that never returns would hang the whole desk. Compiled code (a
long regular expression, `time.sleep`, a Polars query) cannot be interrupted: the loop's lag is reported at once, and
the guardian, `ibdesk up` and systemd act from outside the process.
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

# The period of checks of the desk's thread, and of attempts while an interruption has not taken effect.
_LOOK_SECONDS, _TRY_SECONDS = 0.1, 0.001
# The longest time that one late check counts for.
_LONGEST_GAP_SECONDS = 1.0
# How long an interruption waits for a moment at which the engine's own code is not in the middle of a change.
_GENTLE_SECONDS = 1.0
# How many lines of a strategy's code the note names, the innermost last.
_MOST_LINES = 5
# The module whose frame begins an event.
_ENGINE = "ibdesk.engine.engine"


class _TakenBackError(BaseException):
    """Raised by `take_back` in a thread of its own."""


class Watchdog:
    """Watches calls of the engine; `handle` is `Engine.handle` under watch."""

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
        """Make one that is not watching yet.

        Interruptions are journaled by `recorder`, and alerts are published by `publisher`. `turn` handles the event
        that reports that the loop runs again.
        """
        self._engine, self._settings, self._handle = engine, settings, engine.handle
        self._clock, self._recorder, self._publisher, self._turn = clock, recorder, publisher, turn
        # The event that the engine handles now, and whether an interruption was raised in it, or is about to be.
        self.event: Event | None = None
        self.has_fired = False
        self._lock = threading.Lock()
        self._thread_id = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ibdesk-watchdog", daemon=True)
        # The event at the last check, the call of a strategy in it, and for how long both have been seen.
        self._seen: tuple[Event | None, FrameType | None] = (None, None)
        self._spent = 0.0
        # The exception that is raised again and again in a call that could not be interrupted.
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
        """Let the engine handle an event; raises as `Engine.handle`.

        Raises:
            DeskError: If the engine itself was interrupted: the desk ends, and its successor continues from the
                journal.
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
                    # It came after the call and before `_settle` could take it back; there is never a second.
                    self._settle()

    def beat(self) -> None:
        """Note that the loop runs."""
        self._beaten_at = _now()

    @property
    def seconds_behind(self) -> float:
        """Seconds since the loop last ran; callable from any thread."""
        return _now() - self._beaten_at

    async def until_broken(self) -> None:
        """Wait until the engine itself is interrupted.

        Raises:
            DeskError: Always, at that time.
        """
        await self._broken.wait()
        raise self._failure

    def _settle(self) -> None:
        """Take back an interruption that came too late for its call, and journal those that took effect."""
        try:
            self._disarm()
        except CallInterrupted:
            # It came between the end of the call and here; there is never a second.
            self._disarm()
        found, self._engine.calls.interrupted = self._engine.calls.interrupted, []
        for interruption in found:
            self._recorder.record(interruption, ())

    def _disarm(self) -> None:
        with self._lock:
            take_back(self._thread_id)
            self.has_fired = False

    def _break(self, error: CallInterrupted) -> DeskError:
        """Refuse all further events: the engine's state may be half changed, and only the journal is reliable."""
        self._failure = DeskError(f"the engine was interrupted in its own code, so the desk ends: {error}")
        self._handle = self._refuse
        self._broken.set()
        return self._failure

    def _refuse(self, event: Event) -> Sequence[Action]:
        del event
        raise self._failure

    # --- on the watchdog's thread

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
        """Publish an alert at once: nothing can be journaled while the desk's thread hangs."""
        _log.critical("%s", text)
        self._publisher.alert(self._clock.now_ns(), Severity.ERROR, "engine", text)

    def _look_at_call(self, now: float) -> None:
        event = self.event
        call = None if event is None else _outermost(sys._current_frames().get(self._thread_id))
        if event is None or call is None:
            # The engine's own code is never interrupted unless a strategy's call waits for it.
            self._seen = (None, None)
            return
        if event is not self._seen[0] or call is not self._seen[1]:
            self._seen, self._spent, self._pending = (event, call), 0.0, None
            return
        # A call cannot return while this process is stopped or its machine sleeps, so a long gap counts only in part.
        self._spent += min(now - self._looked_at, _LONGEST_GAP_SECONDS)
        if self._pending is not None:
            self._tried(event, call, self._pending, by_force=False)
        elif self._spent >= self._settings.call_seconds:
            self._interrupt(event, call)

    def _interrupt(self, event: Event, call: FrameType) -> None:
        """Interrupt a call, repeatedly if it continues."""
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
        # Compiled code has not returned, or all the time was spent in the engine.
        self._tried(event, call, kind, by_force=True)
        if self._tried(event, call, None, by_force=True):
            self._pending = kind
            text = f"a call of a strategy cannot be interrupted, for it is in compiled code; it {note}"
            self._tell(text)

    def _tried(self, event: Event, call: FrameType, kind: type[CallInterrupted] | None, *, by_force: bool) -> bool:
        """Raise `kind` in the call if it continues, and wait for the effect; return whether it continues."""
        time.sleep(_TRY_SECONDS)
        with self._lock:
            # In this order: either the desk's thread sees the flag when the event is done, or its end is seen here.
            self.has_fired = True
            frame = sys._current_frames().get(self._thread_id)
            if self.event is not event or _outermost(frame) is not call or frame is None:
                return False
            if kind is not None and (by_force or may_be_interrupted(_outward(frame))):
                _set_exception(self._thread_id, kind)
        return True


def _now() -> float:
    """Return the machine's monotonic time, in seconds."""
    return monotonic_ns() / 1e9


def take_back(thread_id: int) -> None:
    """Cancel an exception that was set for a thread and is not raised yet.

    Python 3.11 and 3.12 then check for one at each call in every thread until some thread has raised one, and in 3.11 a
    debugger or profiler would wait for that forever (`_PyEval_SignalAsyncExc` in CPython's `ceval.c`). So a new thread
    raises one in itself: in the main thread a signal handler could intervene.
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
    """Raise an exception in a thread at its next Python instruction; None cancels one that is not raised yet."""
    exception = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), exception)


def _interruption(note: str, on_raise: Callable[[CallInterrupted], None]) -> type[CallInterrupted]:
    """Return an exception class that can be raised in another thread, where only a class can be passed."""

    class Interruption(CallInterrupted):
        def __init__(self) -> None:
            super().__init__(note)
            on_raise(self)

    # The journal stores the name, and a replay raises the base class.
    Interruption.__name__ = CallInterrupted.__name__
    return Interruption


def _outward(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _outermost(frame: FrameType | None) -> FrameType | None:
    """Return the outermost frame of foreign code that the engine has called, None if there is none."""
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
    """Return the lines of a strategy's calls, the outermost first; with `is_any` of any code."""
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
