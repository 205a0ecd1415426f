"""What of a gateway outlives it, in one file: accounts, orders, executions and ids.

The file is JSON, readable by its owner only. It is replaced as a whole: a kill at any moment leaves the old one or the
new one. It is written before anybody is told what has changed, so that no client ever knows more than the file.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from ibdesk.errors import ConfigError
from ibdesk.gateway.account.accounts import Accounts
from ibdesk.gateway.account.ledger import Holding, Ledger
from ibdesk.gateway.contracts.book import ContractBook, ContractData
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.times import local
from ibdesk.gateway.venue.memory import VenueMemory
from ibdesk.gateway.venue.venue import Venue

_log = logging.getLogger(__name__)

# SOON_SECONDS: how long what changes all the time, as a stop that follows the market, may wait to be written.
SOON_SECONDS = 1.0
OWNER_ONLY = 0o600


class AccountMemory(msgspec.Struct, frozen=True):
    """One account: money by currency, what it is worth at the start of its profit, and what it holds or has held."""

    account: str
    cash: dict[str, float]
    opening_value: float
    holdings: list[Holding]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """All that outlives a gateway; `saved_ns` is the gateway's time, ns UTC."""

    format: Literal["ibdesk gateway state"] = "ibdesk gateway state"
    version: Literal[1] = 1
    saved_ns: int
    accounts: list[AccountMemory]
    rates: dict[str, float]
    venue: VenueMemory


class StateFile:
    """The file at `path`, which need not be there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> State | None:
        """Return what it holds, nothing when there is no file.

        Raises:
            ConfigError: If it cannot be read or is not such a file; it is left as it is.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"gateway.state {self.path} cannot be read: {error.strerror or error}") from error
        try:
            return msgspec.json.decode(content, type=State, dec_hook=_fields_of)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ConfigError(
                f"gateway.state {self.path} holds no state of a gateway of this version, and is left as it is: {error}"
            ) from error

    def write(self, state: State) -> None:
        """Put `state` in the place of what it holds.

        Raises:
            OSError: If it cannot be written; the old content stays.
        """
        content = msgspec.json.encode(state, enc_hook=_texts_of)
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}.new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(self.path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise


def _texts_of(value: Any) -> Any:
    if isinstance(value, Fields):
        return [value.name, value.texts]
    raise NotImplementedError(f"a {type(value).__name__} is no part of a gateway's state")


def _fields_of(kind: type, value: Any) -> Any:
    if kind is Fields and isinstance(value, list) and len(value) == 2:
        return Fields(str(value[0]), dict(value[1]))
    raise NotImplementedError(f"a {kind.__name__} is no part of a gateway's state")


class Keeper:
    """Keeps the state of one gateway in its file.

    Raises:
        ConfigError: From `load`, if the file is there and cannot be used.
    """

    def __init__(
        self, path: Path, accounts: Accounts, venue: Venue, contracts: ContractBook, now_ns: Callable[[], int]
    ) -> None:
        self._file = StateFile(path)
        self._accounts = accounts
        self._venue = venue
        self._contracts = contracts
        self._now_ns = now_ns
        self._loop: asyncio.AbstractEventLoop | None = None
        self._found: State | None = None
        self._changed = False
        self._appointment: asyncio.Handle | None = None

    def load(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read the file, or make it where there is none, and keep it on this loop from now on.

        Raises:
            ConfigError: If it cannot be read or written, or holds what the gateway does not have.
        """
        self._found, self._loop = self._file.read(), loop
        known = {ledger.account for ledger in self._accounts}
        for memory in () if self._found is None else self._found.accounts:
            if memory.account not in known:
                raise ConfigError(
                    f"gateway.state {self._file.path} holds account {memory.account}, which the gateway does not have: "
                    "name it in gateway.accounts, or name another file"
                )
        orders = set() if self._found is None else {record.key for record in self._found.venue.orders}
        for execution in () if self._found is None else self._found.venue.executions:
            if execution.key not in orders:
                raise ConfigError(f"gateway.state {self._file.path} has execution {execution.id} and not its order")
        if self._found is None:
            try:
                self._file.write(self._state())
            except OSError as error:
                raise ConfigError(f"gateway.state {self._file.path} cannot be written: {error.strerror}") from error

    def restore(self) -> None:
        """Bring back what was read: first what accounts hold, then the orders, which are worked on at once.

        Executions and completed orders are those of the day, as TWS keeps them (documented).
        """
        found = self._found
        if found is not None:
            self._accounts.rates.restore(found.rates)
            for memory in found.accounts:
                self._restore_account(self._accounts.named(memory.account), memory)
            self._venue.restore(
                found.venue, found.saved_ns, since_ns=_midnight(self._now_ns()), known_as=self._known_as
            )
        self._venue.on_change = self.touch
        self.touch()

    def touch(self, *, at_once: bool = True) -> None:
        """Note that something changed: it is written in this turn of the loop, or within a second."""
        assert self._loop is not None, "a state is kept from `load` on"  # noqa: S101
        self._changed = self._changed or at_once
        if self._appointment is None:
            if at_once:
                self._appointment = self._loop.call_soon(self._write)
            else:
                self._appointment = self._loop.call_later(SOON_SECONDS, self._write)
        elif at_once and isinstance(self._appointment, asyncio.TimerHandle):
            self._appointment.cancel()
            self._appointment = self._loop.call_soon(self._write)

    def settle(self) -> None:
        """Write what has changed, if it has; called before clients are told."""
        if self._changed:
            self._write()

    def close(self) -> None:
        """Write for the last time."""
        self._venue.on_change = _nothing
        if self._loop is not None:
            self._write()

    def _write(self) -> None:
        if self._appointment is not None:
            self._appointment.cancel()
            self._appointment = None
        self._changed = False
        try:
            self._file.write(self._state())
        except OSError as error:
            # The gateway goes on; the next change tries again.
            _log.error("gateway.state %s cannot be written: %s", self._file.path, error.strerror)

    def _state(self) -> State:
        return State(
            saved_ns=self._now_ns(),
            accounts=[
                AccountMemory(ledger.account, ledger.cash, ledger.opening_value, list(ledger.holdings.values()))
                for ledger in self._accounts
            ],
            rates=dict(self._accounts.rates.known),
            venue=self._venue.memory(),
        )

    def _restore_account(self, ledger: Ledger, memory: AccountMemory) -> None:
        ledger.cash, ledger.opening_value = dict(memory.cash), memory.opening_value
        for holding in memory.holdings:
            holding.contract = self._known_as(holding.contract)
            ledger.holdings[holding.contract.id] = holding

    def _known_as(self, contract: ContractData) -> ContractData:
        """Return a contract as the gateway knows it now, with its market played."""
        if contract.legs:
            for leg in contract.legs:
                self._known_as(leg.contract)
            return contract
        known = self._contracts.restored(contract)
        self._contracts.single_out(known)
        return known


def _midnight(at_ns: int) -> int:
    """Return when the day of the gateway's zone began, ns UTC."""
    begun = local(at_ns).replace(hour=0, minute=0, second=0, microsecond=0)
    return int(begun.timestamp()) * 1_000_000_000


def _nothing(*, at_once: bool = True) -> None:
    """Keep nothing."""
