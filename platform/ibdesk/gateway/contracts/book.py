"""The book of contracts: finds the one that a request means by number, by name, or by parts of its description."""

from __future__ import annotations

import datetime as dt
import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

import msgspec

from ibdesk.errors import InstrumentError
from ibdesk.gateway.contracts.combos import combo
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.contracts.currencies import currency_pair, is_pair, shipped_pairs
from ibdesk.gateway.contracts.futures import TERMS, future, shipped_futures
from ibdesk.gateway.contracts.indices import shipped_indices
from ibdesk.gateway.contracts.matching import answers, is_on
from ibdesk.gateway.contracts.options import OptionChain, expiries, option, strikes_around
from ibdesk.gateway.contracts.stocks import US_VENUES, is_plausible, shipped_stocks, us_share
from ibdesk.gateway.market.names import named_now
from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.refusal import invalid
from ibdesk.model import AnyInstrument, Forex, Future, Option, Stock

MOST_BY_RULE = 10_000
"""The maximum number of contracts that are not shipped; further ones are not found."""
MOST_COMBOS = 500
_USUAL_SPOT = 100.0
_OPTIONS_A_PIECE = 64


class ContractBook:
    """All contracts of one gateway.

    `market` are the names of the instruments that the market source plays. Beside these and the shipped contracts, the
    book finds a share of any plausible symbol and any pair of known currencies. Without `invent` it finds no share that
    was not named, and with `strict` only shipped contracts.

    `spot_of` returns the price around which an underlying's options are listed at their first request. `on_new` is
    called once for every contract that is singled out, before it is used.
    """

    def __init__(
        self, today: dt.date, market: Iterable[str] = (), *, strict: bool = False, invent: bool = True
    ) -> None:
        self.spot_of: Callable[[ContractData], float | None] = _no_spot
        self.on_new: Callable[[ContractData], None] = _nobody
        self._today = today
        self._strict, self._invents = strict, invent
        self._by_id: dict[int, ContractData] = {}
        self._by_name: dict[str, ContractData] = {}
        self._by_symbol: dict[str, list[ContractData]] = defaultdict(list)
        self._chains: dict[str, OptionChain] = {}
        self._combos: dict[str, ContractData] = {}
        self._singled_out: set[str] = set()
        self._by_rule = 0
        for contract in _shipped(today):
            self._add(contract)
        for name in () if strict else market:
            if name not in self._by_name:
                self._add(self._played_as(name))

    def __iter__(self) -> Iterator[ContractData]:
        """Iterate over the listed contracts: all but options."""
        return (contract for contract in self._by_name.values() if contract.sec_type != "OPT")

    def named(self, instrument: str) -> ContractData | None:
        """Return the contract of an instrument, or None."""
        known = self._by_name.get(instrument)
        if known is not None:
            return known
        try:
            wanted = named_now(instrument)
        except InstrumentError:
            return None
        if wanted.id in self._by_name:
            return self._by_name[wanted.id]
        if isinstance(wanted, Option):
            chain = self._chain(wanted.symbol)
            options = () if chain is None else chain.expiring(wanted.expiry)
            return next((each for each in options if _is_option(each, wanted)), None)
        if isinstance(wanted, Forex):
            return self._pair_by_rule(wanted.symbol, wanted.currency)
        return self._share_by_rule(wanted.symbol) if wanted == Stock(wanted.symbol) else None

    def instrument(self, name: str) -> AnyInstrument:
        """Return the instrument that the market plays under this name.

        With `strict` the market may play instruments that are not shipped. Clients do not see them, because they do not
        find the contract.
        """
        known = self.named(name)
        return self._played_as(name).instrument if known is None else known.instrument

    def find(self, query: Fields) -> list[ContractData]:
        """Return every contract that fits a request's contract fields; an empty field fits all.

        Raises:
            RefusedError: If it is a combination with an invalid leg, or one too many.
        """
        if query.text("secType") == "BAG":
            return [self._combined(combo(query, self._by_id.get))]
        con_id = query.whole("conId")
        if con_id:
            return self._numbered(con_id, query)
        return self._described(query)

    def list_options(self, query: Fields) -> Iterator[None]:
        """List the options that a request may mean, in pieces of about a millisecond; then `find` is fast."""
        if query.text("secType") in ("OPT", "FOP"):
            for number, _ in enumerate(self._options(query)):
                if number % _OPTIONS_A_PIECE == _OPTIONS_A_PIECE - 1:
                    yield

    def single_out(self, contract: ContractData) -> None:
        """Call `on_new` at the first use of a contract: a quote, a chart or a trade."""
        if contract.id not in self._singled_out:
            self._singled_out.add(contract.id)
            self.on_new(contract)

    def restored(self, contract: ContractData) -> ContractData:
        """Return a contract of an earlier run as it is known now; an unknown one is listed as it was."""
        if contract.legs:
            return self._combos.setdefault(contract.id, contract)
        # An option is taken as it was: its chain is listed again at its next request, around the spot of that time.
        known = self._by_name.get(contract.id) if contract.sec_type == "OPT" else self.named(contract.id)
        return self._add(contract) if known is None else known

    def chain(self, underlying: ContractData) -> OptionChain | None:
        """Return the options on a contract, or None if it has none."""
        return self._chain(underlying.symbol) if underlying.has_options else None

    def issued(self, isin: str) -> list[ContractData]:
        """Return the contracts of an International Securities Identification Number."""
        return [contract for contract in self._by_name.values() if isin and contract.isin == isin]

    # ---- search -------------------------------------------------------------------------------------------------

    def _numbered(self, con_id: int, query: Fields) -> list[ContractData]:
        known = self._by_id.get(con_id)
        if known is None:
            # The chain of the option was not requested since the gateway started; its description leads to it.
            known = next((found for found in self._described(query) if found.con_id == con_id), None)
        if known is None or not is_on(known, query) or (known.is_expired and not query.flag("includeExpired")):
            return []
        return [_continuous(known) if query.text("secType") == "CONTFUT" else known]

    def _described(self, query: Fields) -> list[ContractData]:
        if query.text("secIdType"):
            listed = self.issued(query.text("secId")) if query.text("secIdType") == "ISIN" else []
            return [contract for contract in listed if answers(contract, query)]
        symbol, sec_type = query.text("symbol"), query.text("secType")
        if not (symbol or query.text("localSymbol")):
            return []
        if sec_type in ("OPT", "FOP"):
            return [each for each in self._options(query) if answers(each, query)]
        listed = self._by_symbol.get(symbol, []) if symbol else [*self]
        if sec_type == "CONTFUT":
            futures = [each for each in listed if each.sec_type == "FUT" and not each.is_expired]
            return [each for each in map(_continuous, futures[:1]) if answers(each, query)]
        found = [contract for contract in listed if answers(contract, query)]
        return found or [contract for contract in self._found_by_rule(query) if answers(contract, query)]

    def _options(self, query: Fields) -> Iterator[ContractData]:
        """Yield the options on the requested underlying with the requested expiry."""
        chain = self._chain(query.text("symbol") or query.text("localSymbol")[:6].strip())
        return (
            iter(()) if chain is None else chain.expiring(query.text("lastTradeDateOrContractMonth").partition(" ")[0])
        )

    def _chain(self, symbol: str) -> OptionChain | None:
        if symbol == "SPXW":
            symbol = "SPX"
        if symbol not in self._chains:
            underlying = next((each for each in self._by_symbol.get(symbol, []) if each.has_options), None)
            if underlying is None:
                return None
            strikes = strikes_around(self.spot_of(underlying) or _USUAL_SPOT)
            self._chains[symbol] = OptionChain(underlying, expiries(self._today), strikes, self._add)
        return self._chains[symbol]

    def _combined(self, found: ContractData) -> ContractData:
        if found.id not in self._combos:
            if len(self._combos) >= MOST_COMBOS:
                raise invalid(f"this gateway follows at most {MOST_COMBOS} combinations; restart it to follow others")
            self._combos[found.id] = found
        return self._combos[found.id]

    # ---- listing ------------------------------------------------------------------------------------------------

    def _add(self, contract: ContractData) -> ContractData:
        con_id = contract.con_id
        # An option of an earlier run may have this number already when its chain is listed.
        while self._by_id.get(con_id, contract).id != contract.id:
            con_id += 1
        if con_id != contract.con_id:
            contract = msgspec.structs.replace(contract, con_id=con_id)
        self._by_id[con_id] = self._by_name[contract.id] = contract
        if contract.sec_type != "OPT":
            self._by_symbol[contract.symbol].append(contract)
        return contract

    def _played_as(self, name: str) -> ContractData:
        """Return the contract of an instrument that only the market source knows."""
        try:
            instrument = named_now(name)
        except InstrumentError:
            instrument = Stock(name)
        match instrument:
            case Forex():
                return currency_pair(instrument.symbol, instrument.currency)
            case Future() if instrument.trading_class in TERMS and len(instrument.expiry) == 6:
                return future(instrument.trading_class, int(instrument.expiry[:4]), int(instrument.expiry[4:]))
            case Option() if instrument.symbol in self._by_name:
                expiry = dt.date.fromisoformat(instrument.expiry)
                return option(self._by_name[instrument.symbol], expiry, instrument.strike, instrument.right)
        symbol = instrument.symbol if isinstance(instrument, Stock) else name
        return us_share(symbol, f"{symbol} INC")

    def _found_by_rule(self, query: Fields) -> list[ContractData]:
        symbol, currency = query.text("symbol"), query.text("currency")
        made: ContractData | None = None
        if query.text("secType") == "CASH":
            made = self._pair_by_rule(symbol, currency)
        elif query.text("secType") == "STK" and currency in ("", "USD") and query.text("exchange") in ("", *US_VENUES):
            made = self._share_by_rule(symbol)
        return [] if made is None else [made]

    def _share_by_rule(self, symbol: str) -> ContractData | None:
        if self._is_full or not self._invents or not is_plausible(symbol) or Stock(symbol).id in self._by_name:
            return None
        self._by_rule += 1
        return self._add(us_share(symbol, f"{symbol} INC"))

    def _pair_by_rule(self, base: str, quoted: str) -> ContractData | None:
        if self._is_full or f"{base}.{quoted}" in self._by_name or not is_pair(base, quoted):
            return None
        self._by_rule += 1
        return self._add(currency_pair(base, quoted))

    @property
    def _is_full(self) -> bool:
        return self._strict or self._by_rule >= MOST_BY_RULE


@functools.lru_cache(maxsize=4)
def _shipped(today: dt.date) -> tuple[ContractData, ...]:
    """Return the contracts that are listed on a day without a request."""
    return (*shipped_stocks(), *shipped_pairs(), *shipped_futures(today), *shipped_indices())


def _is_option(contract: ContractData, wanted: Option) -> bool:
    """Return whether a contract is this option; the option may lack its trading class."""
    return (contract.strike, contract.right) == (wanted.strike, wanted.right.value) and wanted.trading_class in (
        "",
        contract.trading_class,
    )


def _continuous(contract: ContractData) -> ContractData:
    """Return the front future as IB's continuous future: for history, not for orders."""
    return msgspec.structs.replace(contract, sec_type="CONTFUT") if contract.sec_type == "FUT" else contract


def _no_spot(_underlying: ContractData) -> float | None:
    """Return None: no price is known."""
    return None


def _nobody(_contract: ContractData) -> None:
    """Ignore it; the default until the contracts are listed."""
