"""Answers about contracts, and the small questions whose answer hardly ever changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ibdesk.clock import SECOND
from ibdesk.gateway.contracts.book import STOCK_ORDER_TYPES, ZONE_NAMES, ContractBook, ContractData, trading_hours
from ibdesk.gateway.protocol.codec import Fields, Value
from ibdesk.gateway.protocol.fields import UNSET_INTEGER
from ibdesk.gateway.refusal import RefusedError, ambiguous_contract, invalid, unknown_contract
from ibdesk.gateway.session import Handler, Session

# Types of security whose description may fit several contracts; a share needs currency and venue to be one.
_SEC_TYPES = frozenset({"STK", "CASH", "FUT", "IND", "OPT", "FOP", "CFD", "BOND", "CMDTY", "CONTFUT", "CRYPTO", "FUND"})
SCANNER_PARAMETERS = '<?xml version="1.0" encoding="UTF-8"?><ScanParameterResponse></ScanParameterResponse>'
# MARKET_RULES: price increments by rule id: shares, currencies, index futures.
MARKET_RULES = {26: 0.01, 239: 0.00005, 67: 0.25}


def the_contract(book: ContractBook, query: Fields) -> ContractData:
    """Return the one contract a request describes.

    Raises:
        RefusedError: If none does, or several do (error 200).
    """
    found = book.find(query)
    if not found:
        raise unknown_contract()
    if len(found) > 1:
        raise ambiguous_contract(query.text("symbol"))
    return found[0]


class Reference:
    """The requests of one session that need no market and no account."""

    def __init__(self, session: Session, contracts: ContractBook, now_ns: Callable[[], int], account: str) -> None:
        self._session = session
        self._contracts = contracts
        self._now_ns = now_ns
        self._account = account

    def handlers(self) -> Mapping[str, Handler]:
        """Return what it answers."""
        return {
            "reqContractDetails": self.contract_details,
            "reqMatchingSymbols": self.matching_symbols,
            "reqMarketRule": self.market_rule,
            "reqSecDefOptParams": self.option_parameters,
            "reqCurrentTime": self.current_time,
            "reqManagedAccts": self.managed_accounts,
            "reqFamilyCodes": self.family_codes,
            "reqNewsProviders": self.news_providers,
            "reqScannerParameters": self.scanner_parameters,
            "reqMktDepthExchanges": self.depth_exchanges,
            "reqSmartComponents": self.smart_components,
            "reqSoftDollarTiers": self.soft_dollar_tiers,
            "reqUserInfo": self.user_info,
            # What needs no answer: TWS says nothing to these either.
            "setServerLogLevel": _silence,
            "reqNewsBulletins": _silence,
            "cancelNewsBulletins": _silence,
            "reqMktDepth": self.market_depth,
            "cancelMktDepth": self.cancel_depth,
            "cancelScannerSubscription": self.cancel_scanner,
        }

    def close(self) -> None:
        """End nothing: these are questions, not subscriptions."""

    def contract_details(self, query: Fields) -> None:
        """Send every contract that fits, then the end; error 200 when none does."""
        request_id = query.required("reqId")
        if query.text("secType") not in _SEC_TYPES and not query.whole("conId"):
            raise invalid("Please enter a valid security type")
        found = self._contracts.find(query)
        if not found:
            raise unknown_contract()
        for contract in found:
            self._send_details(request_id, contract)
        self._session.send("contractDetailsEnd", reqId=request_id)

    def _send_details(self, request_id: int, contract: ContractData) -> None:
        instrument = contract.instrument
        hours = trading_hours(instrument.session, self._now_ns())
        self._session.send(
            "contractDetails",
            **{**contract.wire(), "strike": 0},
            reqId=request_id,
            marketName=contract.trading_class,
            minTick=instrument.tick_size,
            mdSizeMultiplier=1,
            orderTypes=STOCK_ORDER_TYPES,
            validExchanges=contract.valid_exchanges,
            priceMagnifier=1,
            underConId=contract.under_con_id,
            longName=contract.long_name,
            contractMonth=contract.expiry[:6],
            industry=contract.industry,
            timeZoneId=ZONE_NAMES[instrument.session.zone],
            tradingHours=hours,
            liquidHours=hours,
            aggGroup=1 if contract.sec_type == "STK" else UNSET_INTEGER,
            underSymbol=contract.symbol if contract.under_con_id else "",
            underSecType="IND" if contract.under_con_id else "",
            marketRuleIds=",".join([str(contract.market_rule)] * (contract.valid_exchanges.count(",") + 1)),
            realExpirationDate=contract.expiry,
            stockType=contract.stock_type,
            sizeMinTick=contract.size_increment,
            minSize=contract.size_increment,
            sizeIncrement=contract.size_increment,
            suggestedSizeIncrement=100 if contract.sec_type == "STK" else contract.size_increment,
        )

    def matching_symbols(self, query: Fields) -> None:
        """Send the contracts whose symbol begins with the pattern or whose name holds it."""
        pattern = query.text("pattern").upper()
        found = [
            contract
            for contract in self._contracts
            if pattern
            and (contract.symbol.startswith(pattern) or pattern in contract.long_name.upper())
            and contract.sec_type != "FUT"
        ]
        self._session.send(
            "symbolSamples",
            reqId=query.required("reqId"),
            samples=[
                {**contract.wire(), "primaryExchange": contract.primary_exchange or contract.exchange}
                | {"description": contract.long_name}
                for contract in found[:16]
            ],
        )

    def market_rule(self, query: Fields) -> None:
        """Send the price increments of a rule."""
        rule = query.required("marketRuleId")
        if rule not in MARKET_RULES:
            raise invalid(f"market rule {rule} is unknown", request_id=-1)
        increments = [{"lowEdge": 0, "increment": MARKET_RULES[rule]}]
        self._session.send("marketRule", marketRuleId=rule, increments=increments)

    def option_parameters(self, query: Fields) -> None:
        """Send no chains, only the end: the gateway lists no options."""
        self._session.send("secDefOptParamsEnd", reqId=query.required("reqId"))

    def current_time(self, _query: Fields) -> None:
        """Send the gateway's time in seconds."""
        self._session.send("currentTime", time=self._now_ns() // SECOND)

    def managed_accounts(self, _query: Fields) -> None:
        """Send the account's id."""
        self._session.send("managedAccounts", accounts=self._account)

    def family_codes(self, _query: Fields) -> None:
        """Send the one code of an account without a family (captured)."""
        self._session.send("familyCodes", codes=[{"accountID": "*", "familyCode": ""}])

    def news_providers(self, _query: Fields) -> None:
        """Send an empty list: the account has no news subscriptions."""
        self._session.send("newsProviders")

    def scanner_parameters(self, _query: Fields) -> None:
        """Send a document without scanners."""
        self._session.send("scannerParameters", xml=SCANNER_PARAMETERS)

    def depth_exchanges(self, _query: Fields) -> None:
        """Send an empty list: the gateway shows no depth."""
        self._session.send("mktDepthExchanges")

    def smart_components(self, query: Fields) -> None:
        """Send the one venue behind SMART."""
        components: list[dict[str, Value]] = [{"bitNumber": 0, "exchange": "IEX", "exchangeLetter": "V"}]
        self._session.send("smartComponents", reqId=query.required("reqId"), components=components)

    def soft_dollar_tiers(self, query: Fields) -> None:
        """Send an empty list."""
        self._session.send("softDollarTiers", reqId=query.required("reqId"))

    def user_info(self, query: Fields) -> None:
        """Send the empty branding id of a private user (captured)."""
        self._session.send("userInfo", reqId=query.required("reqId"))

    def market_depth(self, query: Fields) -> None:
        """Refuse: the account has no depth subscription."""
        the_contract(self._contracts, query)
        raise RefusedError(354, "Requested market data is not subscribed. Market depth is not available here.")

    def cancel_depth(self, query: Fields) -> None:
        """Refuse: there is no depth subscription to cancel."""
        raise RefusedError(310, f"Can't find the subscribed market depth with tickerId:{query.required('reqId')}")

    def cancel_scanner(self, query: Fields) -> None:
        """Refuse: there is no scanner subscription to cancel."""
        raise RefusedError(365, f"No scanner subscription found for ticker id:{query.required('reqId')}")


def _silence(_query: Fields) -> None:
    """Take the request and answer nothing."""
