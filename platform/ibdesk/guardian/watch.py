"""The guardian at work: observes account and engine, decides, halts the account first, then carries out the stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

from ibdesk.clock import monotonic_ns, wall_ns
from ibdesk.errors import ConfigError
from ibdesk.guardian.account import AccountSnapshot
from ibdesk.guardian.account_watch import AccountWatch
from ibdesk.guardian.claim import Claim
from ibdesk.guardian.command_socket import Command, CommandSocket, StopFile
from ibdesk.guardian.config import GuardianConfig
from ibdesk.guardian.decisions import Decision, Decisions, Observation
from ibdesk.guardian.engine_process import EngineKill
from ibdesk.guardian.engine_watch import EngineWatch
from ibdesk.guardian.fence import Fence, state_of
from ibdesk.guardian.record import Record
from ibdesk.guardian.stop import Level, Stop, name_of, words_of
from ibdesk.guardian.stops import Stops
from ibdesk.model import GUARDIAN
from ibdesk.telemetry.systemd import notify_systemd

_SECOND = 1_000_000_000
_TURN_SECONDS, _TURNS_A_SECOND = 0.2, 5
# In quiet times executions and positions are compared at every fifth look; TWS sends positions without a request.
_WHOLE_LOOK = 5
# The longest time after connecting until TWS must have sent the figures that limits need.
_BLIND_SECONDS = 30
_CAUSE_PERSON = "person"


class Watch:
    """One guardian; `run` runs it until cancelled, `until_done` returns when its stops are done."""

    def __init__(self, config: GuardianConfig, record: Record, *, only_stops: bool = False) -> None:
        """Create a guardian; with `only_stops` it carries out the stops it is given and applies no rules."""
        self._config, self._record, self._only_stops = config, record, only_stops
        self._claim = Claim(config.mode)
        self._engine = EngineWatch(config, record)
        self._connection = self._engine.connection
        memory = record.memory
        self.account = config.account or memory.account
        self._fence = Fence(config.mode, record)
        self._decisions = Decisions(config.rules, tripped=memory.tripped, accepted_loss=memory.accepted_loss)
        self._stop_file = StopFile(config.stop_file, memory.stop_file)
        self._stops = Stops(
            record, claim=self._claim, client_id=config.client_id, settle_seconds=config.settle_seconds,
            measure=lambda runs: self._engine.shares(runs, self._watch.view),
        )  # fmt: skip
        self._watch = AccountWatch(
            config, address=self._address, is_ours=self._choose, stops=self._stops, changed=self._link_changed,
            alert=record.alert,
        )  # fmt: skip
        self._stops.sender = self._watch
        # _kills: the attempts to kill the engine, by the stops that requested them.
        self._kills: dict[str, EngineKill] = {}
        self._turns = 0
        self._up_ns, self._is_blind = 0, False

    async def run(self, *, ready: Callable[[], None] = lambda: None) -> None:
        """Watch until cancelled; `ready` is called once people can reach it.

        Raises:
            ConfigError: If the account cannot be guarded with the settings, or another guardian guards it.
        """
        commands = CommandSocket(self._config.command_socket, self.answer)
        if not self._only_stops:
            await commands.open()
        ready()
        self._record.write("begun", client_id=self._config.client_id, account=self.account)
        self._stops.take_up()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch.run(), name="tws")
                tasks.create_task(self._connection.run(), name="engine line")
                tasks.create_task(self._judge_regularly(), name="judgment")
                tasks.create_task(self._look_regularly(), name="looks")
        except* ConfigError as errors:
            raise errors.exceptions[0] from None
        finally:
            commands.close()
            self._claim.release()
            self._record.write("ended")

    async def until_up(self) -> None:
        """Wait until TWS is connected."""
        await self._watch.up.wait()

    async def until_done(self) -> dict[str, object]:
        """Return the status once every stop was carried out."""
        await self._stops.idle.wait()
        return self.status()

    # --- what people ask

    def answer(self, command: Command) -> dict[str, object]:
        """Carry out a command and return the answer."""
        if command.do == "status":
            return {"ok": True, **self.status()}
        if command.do not in (*Level, "kill"):
            known = ", ".join(["status", *Level, "kill"])
            return {"ok": False, "error": f"there is no command {command.do!r}: there are {known}"}
        if command.account and self.account and command.account != self.account:
            return {"ok": False, "error": f"this guardian watches account {self.account}, not {command.account}"}
        if self._config.mode == "live" and command.account != self.account:
            return {"ok": False, "error": f"mode is live: name the account ({self.account or 'not known yet'})"}
        level = Level.HALT if command.do == "kill" else Level(command.do)
        stop = self.stop(
            level, reason=command.reason or "stopped by hand", by=command.by, kill=command.kill or command.do == "kill"
        )
        return {"ok": True, "stop": msgspec.to_builtins(stop), **self.status()}

    def stop(self, level: Level, *, reason: str, by: str, kill: bool = False) -> Stop:
        """Begin a stop requested by a person."""
        words = halt_words(level, reason=reason, by=by)
        return self._begin(
            Decision(cause=_CAUSE_PERSON, level=level, reason=words), by=name_of(by) or "person", kill=kill
        )

    def status(self) -> dict[str, object]:
        """Return the state of account, engine and guardian, as plain data."""
        view, now_ns = self._watch.view, monotonic_ns()
        return {
            "mode": self._config.mode,
            "account": self.account,
            "link": "up" if self._watch.is_up else self._watch.why_down,
            "daily_pnl": view.daily_pnl,
            "gross_exposure": view.gross_exposure,
            "orders_last_minute": view.orders_last_minute(now_ns),
            "open_orders": view.open_orders,
            "positions": {str(view.contracts[con_id]): held for con_id, held in view.holdings.items() if held},
            "engine": self._engine.word(is_hung=self._decisions.is_hung(self._sight())),
            "engine_pid": self._engine.pid,
            "halts": sorted(self._fence.standing),
            "kills": {stop_id: attempt.failure for stop_id, attempt in self._kills.items()},
            **self._stops.status(),
        }

    # --- stops

    def _begin(self, decision: Decision, *, by: str, kill: bool = False) -> Stop:
        """Halt the account, write the stop down, and begin to carry it out, in this order."""
        at_ns = wall_ns()
        halt_id = self._fence.put(self.account, decision.reason, level=decision.level, at_ns=at_ns)
        stop = Stop(
            id=halt_id, level=decision.level, cause=decision.cause, reason=decision.reason, by=by, at_ns=at_ns,
            runs=decision.runs, kill=kill,
        )  # fmt: skip
        if self._config.mode == "embedded":
            self._connection.halt(decision.reason, by=GUARDIAN, state=state_of(decision.level))
        if decision.cause != _CAUSE_PERSON:
            self._decisions.acted(decision, halt_id, self._sight())
        self._stops.begin(stop, tripped=self._decisions.tripped)
        if kill:
            self._kills[stop.id] = self._engine.kill(self.account)
        self._record.alert(f"{decision.level.value}: {decision.reason}", stop=msgspec.to_builtins(stop))
        return stop

    def _advance(self, look: AccountSnapshot) -> None:
        if not self._stops.take(self.account):
            # Another process closes the positions of this account; two at once could reverse one.
            return
        self._stops.advance(look)
        self._stops.rest()

    # --- looking and judging

    async def _look_regularly(self) -> None:
        count = 0
        while True:
            await self._watch.up.wait()
            self._stops.woken.clear()
            count += 1
            # The first looks of a connection are whole, to give a basis for comparison.
            whole = self._stops.is_busy or count % _WHOLE_LOOK == 0 or not self._stops.baselines
            look = await self._watch.look(whole=whole)
            if look is None:
                await asyncio.sleep(_TURN_SECONDS)
                continue
            if whole:
                self._stops.compare(look)
                self._advance(look)
            if not self._stops.is_busy:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._config.look_seconds):
                        await self._stops.woken.wait()
            else:
                await asyncio.sleep(_TURN_SECONDS)

    async def _judge_regularly(self) -> None:
        while True:
            if self._turns % _TURNS_A_SECOND == 0:
                if not self._only_stops:
                    notify_systemd("WATCHDOG=1")
                if self._engine.look(self.account):
                    self._engine_has_gone()
            self._turns += 1
            self._fence.look(self.account)
            if self._config.mode == "embedded" and self._connection.answered_ns:
                self._fence.look_at_embedded(self._connection.halt_ids)
            self._stops.abandon(self._fence.lifted)
            self._stops.rest()
            if self._only_stops:
                await asyncio.sleep(_TURN_SECONDS)
                continue
            self._look_for_stop_file()
            self._say_what_is_not_watched()
            sight = self._sight()
            before = self._decisions.tripped.copy(), self._decisions.accepted_loss
            decisions = self._decisions.look(sight)
            tripped, accepted_loss = self._decisions.tripped.copy(), self._decisions.accepted_loss
            if before != (tripped, accepted_loss):
                self._record.keep(tripped=tripped, accepted_loss=accepted_loss)
            for decision in decisions:
                self._begin(decision, by=GUARDIAN)
            await asyncio.sleep(_TURN_SECONDS)

    def _say_what_is_not_watched(self) -> None:
        """Alert once that a limit has no effect because TWS does not send its figure."""
        if self._is_blind or not self._watch.is_up or monotonic_ns() - self._up_ns < _BLIND_SECONDS * _SECOND:
            return
        if missing := self._decisions.unwatched(self._sight()):
            self._is_blind = True
            self._record.alert(f"TWS does not report {' or '.join(missing)}: these limits are not watched")

    def release(self) -> None:
        """Release the account, so that another guardian may watch it."""
        self._claim.release()

    def _look_for_stop_file(self) -> None:
        seen = self._stop_file.look()
        if seen is not None:
            level, kill = seen
            self.stop(level, reason=f"{self._config.stop_file} has appeared", by="file", kill=kill)
            # Stored last: a guardian killed in between sees the file again, and its stop continues under its halt.
            self._record.keep(stop_file=self._stop_file.seen)

    def _engine_has_gone(self) -> None:
        """Record that an embedded account has ended with its engine: nothing is left to stop."""
        if self._config.mode != "embedded":
            return
        self._fence.forget()
        if self._record.memory.stops:
            self._record.alert("the embedded account has ended with its engine, and so have the stops")
        self._stops.forget()
        self._claim.release()

    def _sight(self) -> Observation:
        view, now_ns, is_up = self._watch.view, monotonic_ns(), self._watch.is_up
        return Observation(
            now_ns=now_ns,
            daily_pnl=view.daily_pnl if is_up else None,
            pnl_reports=view.pnl_reports,
            gross_exposure=view.gross_exposure if is_up else None,
            orders_last_minute=view.orders_last_minute(now_ns),
            engine=self._engine.sight(),
            differences=self._engine.differences(view, now_ns) if is_up else {},
            lifted=self._fence.lifted,
        )

    # --- the link

    def _address(self) -> tuple[str, int] | None:
        if self._config.mode != "embedded":
            return self._config.host, self._config.port
        host, _, port = self._connection.address.rpartition(":")
        return (host, int(port)) if host and port.isdigit() else None

    def _choose(self, accounts: tuple[str, ...]) -> str:
        """Return the account to guard; a contradiction with the settings ends the guardian."""
        wanted = self._config.account or (self._connection.account if self._config.mode == "embedded" else "")
        chosen = wanted if wanted in accounts else accounts[0] if len(accounts) == 1 and not wanted else ""
        if not chosen:
            raise ConfigError(
                f"TWS has the accounts {', '.join(accounts)}: choose one with tws.account, which is {wanted or 'empty'}"
            )
        if self._config.mode != "live" and not chosen.startswith("D"):
            raise ConfigError(f"account {chosen} is not a paper account, and the mode is {self._config.mode}")
        if self.account != chosen:
            self.account = chosen
            self._record.keep(account=chosen)
        return chosen

    def _link_changed(self, why_down: str) -> None:
        self._record.write("link", state="down" if why_down else "up", why=why_down)
        self._up_ns, self._is_blind = monotonic_ns(), False
        if why_down:
            self._stops.lost()


def halt_words(level: Level, *, reason: str, by: str) -> str:
    """Return the reason text of a halt for a stop that a person requested."""
    return f"{level.value} asked for by {name_of(by) or 'a person'}: {words_of(reason)}"
