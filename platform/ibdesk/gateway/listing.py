"""The listing of contracts: they become instruments of the exchange, and their market is played."""

from __future__ import annotations

from ibdesk.gateway.contracts.book import ContractBook
from ibdesk.gateway.contracts.combo_quotes import ComboQuotes
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.contracts.hours import Hours
from ibdesk.gateway.contracts.option_quotes import OptionQuotes
from ibdesk.gateway.market.phases import Phases
from ibdesk.gateway.market.sessions import SessionCalls
from ibdesk.gateway.market.tape import Tape
from ibdesk.gateway.market.walk import RandomWalk
from ibdesk.gateway.schedule import Schedule
from ibdesk.gateway.venue.venue import Venue
from ibdesk.model import Instrument, Quote


class MarketListing:
    """Ties contracts, market and venue together.

    Instruments of the market are listed from the start; others, options and combinations among them, once a client
    has singled them out. With `keeps_hours` each keeps to the sessions of its exchange.
    """

    def __init__(
        self, contracts: ContractBook, tape: Tape, venue: Venue, schedule: Schedule, *, keeps_hours: bool
    ) -> None:
        self._contracts = contracts
        self._tape = tape
        self._venue = venue
        self._schedule = schedule
        self._keeps_hours = keeps_hours
        self._options = OptionQuotes(tape.take)
        self._combos = ComboQuotes(tape.take, tape.quote)
        self._phases = Phases(tape, SessionCalls(schedule), schedule)
        contracts.spot_of = self._spot
        contracts.on_new = self._meet
        tape.on_new.append(self._follow)
        for contract in contracts:
            venue.exchange.add_instrument(contract.instrument)

    def open(self, at_ns: int) -> None:
        """Begin to play the market at `at_ns` (ns UTC), a multiple of five seconds."""
        source = self._tape.source
        instruments: dict[str, Instrument] = {name: self._contracts.instrument(name) for name in source.symbols}
        if self._keeps_hours and isinstance(source, RandomWalk):
            source.keep_hours(self._hours_of)
        source.open(at_ns, instruments)
        self._tape.open(at_ns, self._on_quote)
        for name in instruments:
            self._keep_hours(name)

    def _on_quote(self, quote: Quote) -> None:
        self._venue.on_quote(quote)
        self._options.on_quote(quote)
        self._combos.on_quote(quote)

    def _spot(self, underlying: ContractData) -> float | None:
        """Return the price around which options are listed."""
        self._tape.play(underlying.instrument)
        return self._tape.price(underlying.id) or self._tape.state(underlying.id).previous_close

    def _meet(self, contract: ContractData) -> None:
        """List a contract that a client has singled out, and play its market."""
        self._venue.exchange.add_instrument(contract.instrument)
        if contract.sec_type == "OPT":
            self._keep_hours(contract.id)
            self._options.begin(contract, self._tape.quote(contract.under_id))
        elif contract.legs:
            for leg in contract.legs:
                self._contracts.single_out(leg.contract)
            self._combos.begin(contract, self._schedule.now_ns)
        else:
            self._tape.play(contract.instrument)

    def _follow(self, instrument: Instrument) -> None:
        """List an instrument that the market has just begun to play."""
        contract = self._contracts.named(instrument.id)
        if contract is not None:
            self._venue.exchange.add_instrument(contract.instrument)
            self._keep_hours(contract.id)

    def _hours_of(self, name: str) -> Hours | None:
        contract = self._contracts.named(name)
        return None if contract is None else contract.hours

    def _keep_hours(self, name: str) -> None:
        contract = self._contracts.named(name)
        if self._keeps_hours and contract is not None:
            self._phases.follow(contract)
