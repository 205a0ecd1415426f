"""Contract details and other reference data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ibdesk.clock import SECOND
from ibdesk.gateway.contracts.book import ContractBook
from ibdesk.gateway.contracts.contract import ContractData
from ibdesk.gateway.contracts.rules import MARKET_RULES
from ibdesk.gateway.market.time_slicer import SlicedJob, TimeSlicer
from ibdesk.gateway.protocol.codec import Fields, Value, text_of
from ibdesk.gateway.protocol.fields import UNSET_INTEGER
from ibdesk.gateway.refusal import ambiguous_contract, invalid, unknown_contract
from ibdesk.gateway.session import RequestMethod, Session, SessionState

# The security types that a request may name.
_SEC_TYPES = frozenset(
    {"STK", "CASH", "FUT", "IND", "OPT", "FOP", "CFD", "BOND", "CMDTY", "CONTFUT", "CRYPTO", "FUND", "BAG", "WAR"}
)
# TWS's list begins and ends like this (captured for a share, an option, a future); the algorithms are left out.
_SHARE_ORDER_TYPES = (
    "ACTIVETIM,AD,ADJUST,ALERT,ALGO,ALLOC,AVGCOST,BASKET,COND,CONDORDER,DAY,GAT,GTC,GTD,GTT,IOC,LIT,LMT,LOC,MIDPX,MIT,"
    "MKT,MOC,OPG,REL,STP,STPLMT,TRAIL,TRAILLIT,TRAILLMT,TRAILMIT,WHATIF"
)
_ORDER_TYPES = "ACTIVETIM,AD,ADJUST,ALERT,COND,DAY,GTC,GTD,IOC,LIT,LMT,MIT,MKT,STP,STPLMT,TRAIL,TRAILLMT,WHATIF"
_NOT_CONTINUOUS = frozenset({"placeOrder", "reqMktData", "reqRealTimeBars", "reqTickByTickData", "reqMktDepth"})
MOST_SAMPLES = 16
"""The maximum number of contracts that TWS sends for a pattern (documented)."""
# The venues behind SMART, with their letters on the consolidated tape.
_SMART_LETTERS = (("AMEX", "A"), ("NYSE", "N"), ("ARCA", "P"), ("NASDAQ", "Q"), ("IEX", "V"), ("BATS", "Z"))
# The venues with market depth: exchange, security type, kind of data (documented).
_DEPTH = (
    ("ISLAND", "STK", "Deep2"),
    ("ARCA", "STK", "Deep"),
    ("NYSE", "STK", "Deep"),
    ("BATS", "STK", "Deep"),
    ("IEX", "STK", "Deep"),
    ("IDEALPRO", "CASH", "Deep"),
    ("CME", "FUT", "Deep"),
    ("CBOT", "FUT", "Deep"),
    ("NYMEX", "FUT", "Deep"),
    ("COMEX", "FUT", "Deep"),
)
# Groups of venues that SMART routes among (captured for shares and options; futures have none).
_AGGREGATES = {"STK": 1, "OPT": 2, "CASH": 4}


def the_contract(book: ContractBook, query: Fields) -> ContractData:
    """Return the one contract that a request describes.

    Raises:
        RefusedError: If no contract fits, or several do (error 200); or if it is a continuous future and the request
            is about the present market or an order: those are for history (documented).
    """
    found = book.find(query)
    if not found:
        raise unknown_contract()
    if len(found) > 1:
        raise ambiguous_contract(query.text("symbol"))
    if found[0].sec_type == "CONTFUT" and query.name in _NOT_CONTINUOUS:
        raise invalid("a continuous future has only history; name a month to trade it or to follow its market")
    book.single_out(found[0])
    return found[0]


class ReferenceRequests:
    """The requests of one session that need no market and no account; `time_slicer` runs the long ones in pieces."""

    def __init__(
        self,
        session: Session,
        contracts: ContractBook,
        now_ns: Callable[[], int],
        accounts: str,
        time_slicer: TimeSlicer,
        *,
        keeps_hours: bool,
    ) -> None:
        self._session = session
        self._contracts = contracts
        self._now_ns = now_ns
        self._accounts = accounts
        self._time_slicer = time_slicer
        self._keeps_hours = keeps_hours

    def methods(self) -> Mapping[str, RequestMethod]:
        """Return the method of each request, by message name."""
        return {
            "reqContractDetails": self.contract_details,
            "reqSecDefOptParams": self.option_parameters,
            "reqMatchingSymbols": self.matching_symbols,
            "reqMarketRule": self.market_rule,
            "reqCurrentTime": self.current_time,
            "reqManagedAccts": self.managed_accounts,
            "reqFamilyCodes": self.family_codes,
            "reqMktDepthExchanges": self.depth_exchanges,
            "reqSmartComponents": self.smart_components,
            "reqSoftDollarTiers": self.soft_dollar_tiers,
            "reqUserInfo": self.user_info,
        }

    def end_subscriptions(self) -> None:
        """Do nothing: these requests are not subscriptions."""

    # ---- contracts --------------------------------------------------------------------------------------------

    def contract_details(self, query: Fields) -> None:
        """Send every contract that fits, then the end; error 200 if none does."""
        request_id, sec_type = query.required("reqId"), query.text("secType")
        if sec_type not in _SEC_TYPES and not (query.whole("conId") or query.text("secIdType")):
            raise invalid("Please enter a valid security type")
        if sec_type == "BAG":
            raise unknown_contract()
        self._time_slicer.begin(SlicedJob(self._send_details(request_id, query)))

    def _send_details(self, request_id: int, query: Fields) -> Iterator[None]:
        """Send one contract per piece of work while the client is connected; an option chain has hundreds."""
        yield from self._contracts.list_options(query)
        found, now_ns = self._contracts.find(query), self._now_ns()
        if not found:
            unknown = unknown_contract()
            self._session.error(request_id, unknown.code, unknown.text)
            return
        for place, contract in enumerate(found):
            if place:
                yield
            if self._session.state is not SessionState.OPEN:
                return
            details = _details(contract, now_ns, keeps_hours=self._keeps_hours)
            self._session.send("contractDetails", reqId=request_id, **details)
        self._session.send("contractDetailsEnd", reqId=request_id)

    def matching_symbols(self, query: Fields) -> None:
        """Send the shares, funds, pairs and indices whose symbol begins with the pattern or whose name contains it."""
        pattern = query.text("pattern").upper()
        found = [
            contract
            for contract in self._contracts
            if pattern
            and contract.sec_type != "FUT"
            and (contract.symbol.startswith(pattern) or pattern in contract.long_name.upper())
        ]
        samples = [_sample(contract) for contract in found[:MOST_SAMPLES]]
        self._session.send("symbolSamples", reqId=query.required("reqId"), samples=samples)

    def option_parameters(self, query: Fields) -> None:
        """Send expiries and strikes of each trading class at each exchange, then the end (captured).

        Futures have no options here. For them, and for other contracts without options, only the end is sent.
        """
        request_id, con_id = query.required("reqId"), query.whole("underlyingConId")
        for underlying in tuple(self._contracts):
            if underlying.con_id == con_id and underlying.symbol == query.text("underlyingSymbol"):
                self._send_chain(request_id, underlying)
        self._session.send("secDefOptParamsEnd", reqId=request_id)

    def _send_chain(self, request_id: int, underlying: ContractData) -> None:
        chain = self._contracts.chain(underlying)
        if chain is None:
            return
        strikes: list[dict[str, Value]] = [{"strike": strike} for strike in chain.strikes]
        for exchange in chain.exchanges:
            for trading_class, expiries in chain.classes.items():
                self._session.send(
                    "secDefOptParams",
                    reqId=request_id,
                    exchange=exchange,
                    underlyingConId=underlying.con_id,
                    tradingClass=trading_class,
                    multiplier="100",
                    expirations=[{"expiration": f"{day:%Y%m%d}"} for day in expiries],
                    strikes=strikes,
                )

    def market_rule(self, query: Fields) -> None:
        """Send the price increments of a rule."""
        rule = query.required("marketRuleId")
        if rule not in MARKET_RULES:
            raise invalid(f"market rule {rule} is unknown", request_id=-1)
        # A lowest price without decimals is written without a point (captured: `0`).
        increments: list[dict[str, Value]] = [
            {"lowEdge": text_of(edge), "increment": step} for edge, step in MARKET_RULES[rule]
        ]
        self._session.send("marketRule", marketRuleId=rule, increments=increments)

    def depth_exchanges(self, _query: Fields) -> None:
        """Send the venues with market depth."""
        exchanges: list[dict[str, Value]] = [
            {"exchange": exchange, "secType": kind, "serviceDataType": data, "aggGroup": _aggregate(kind)}
            for exchange, kind, data in _DEPTH
        ]
        self._session.send("mktDepthExchanges", exchanges=exchanges)

    def smart_components(self, query: Fields) -> None:
        """Send the venues behind SMART and their letters."""
        components: list[dict[str, Value]] = [
            {"bitNumber": bit, "exchange": exchange, "exchangeLetter": letter}
            for bit, (exchange, letter) in enumerate(_SMART_LETTERS)
        ]
        self._session.send("smartComponents", reqId=query.required("reqId"), components=components)

    # ---- the user ---------------------------------------------------------------------------------------------

    def current_time(self, _query: Fields) -> None:
        """Send the gateway's time in seconds."""
        self._session.send("currentTime", time=self._now_ns() // SECOND)

    def managed_accounts(self, _query: Fields) -> None:
        """Send the ids of the accounts."""
        self._session.send("managedAccounts", accounts=self._accounts)

    def family_codes(self, _query: Fields) -> None:
        """Send the one code of an account without a family (captured)."""
        self._session.send("familyCodes", codes=[{"accountID": "*", "familyCode": ""}])

    def soft_dollar_tiers(self, query: Fields) -> None:
        """Send an empty list."""
        self._session.send("softDollarTiers", reqId=query.required("reqId"))

    def user_info(self, query: Fields) -> None:
        """Send the empty branding id of a private user (captured)."""
        self._session.send("userInfo", reqId=query.required("reqId"))


def _aggregate(sec_type: str) -> int:
    return _AGGREGATES.get(sec_type, UNSET_INTEGER)


def _details(contract: ContractData, now_ns: int, *, keeps_hours: bool) -> dict[str, Value]:
    """Return the fields of contractDetails; a future's expiry carries its last trading time (captured).

    A gateway that trades day and night says so here, else clients would wait for the exchange's open.
    """
    instrument, hours = contract.instrument, contract.hours
    last_time = f" {contract.last_trade_time} {hours.zone_name}" if contract.last_trade_time else ""
    return {
        **contract.wire(),
        "strike": contract.strike or 0,
        "lastTradeDateOrContractMonth": f"{contract.expiry}{last_time}",
        "marketName": contract.trading_class,
        "minTick": instrument.tick_size,
        "mdSizeMultiplier": 1,
        "orderTypes": _SHARE_ORDER_TYPES if contract.sec_type == "STK" else _ORDER_TYPES,
        "validExchanges": contract.valid_exchanges,
        "priceMagnifier": contract.price_magnifier,
        "underConId": contract.under_con_id,
        "longName": contract.long_name,
        "contractMonth": contract.contract_month,
        "industry": contract.industry,
        "category": contract.category,
        "subcategory": contract.subcategory,
        "timeZoneId": hours.zone_name,
        "tradingHours": hours.text(now_ns, outside_rth=True) if keeps_hours else hours.always(now_ns),
        "liquidHours": hours.text(now_ns, outside_rth=False) if keeps_hours else hours.always(now_ns),
        "secIdList": [{"tag": "ISIN", "value": contract.isin}] if contract.isin else [],
        "aggGroup": _aggregate(contract.sec_type),
        "underSymbol": contract.under_symbol,
        "underSecType": contract.under_sec_type,
        "marketRuleIds": ",".join([str(contract.market_rule)] * len(contract.exchanges)),
        "realExpirationDate": contract.expiry,
        "stockType": contract.stock_type,
        "sizeMinTick": contract.size_increment,
        "minSize": contract.size_increment,
        "sizeIncrement": contract.size_increment,
        "suggestedSizeIncrement": 100 if contract.sec_type == "STK" else contract.size_increment,
    }


def _sample(contract: ContractData) -> dict[str, Value]:
    """Return one row of symbolSamples, with the kinds of derivatives that the gateway lists on the contract."""
    return {
        **contract.wire(),
        "primaryExchange": contract.primary_exchange or contract.exchange,
        "description": contract.long_name,
        "derivatives": [{"derivSecType": kind} for kind in ("OPT", "BAG")] if contract.has_options else [],
    }
