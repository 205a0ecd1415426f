"""TWS services that need a subscription this account does not have: news, scanners, fundamentals, calendars."""

from __future__ import annotations

from collections.abc import Mapping

from ibdesk.gateway.protocol.codec import Fields
from ibdesk.gateway.refusal import RefusedError, invalid
from ibdesk.gateway.session import RequestMethod, Session

# TWS's own document has megabytes. This one names the only instruments the gateway scans: shares.
SCANNER_PARAMETERS = """<?xml version="1.0" encoding="UTF-8"?>
<ScanParameterResponse>
<InstrumentList><Instrument><name>US Stocks</name><type>STK</type></Instrument></InstrumentList>
<LocationTree><Location><displayName>US Stocks</displayName><locationCode>STK.US.MAJOR</locationCode></Location>
</LocationTree>
<ScanTypeList><ScanType><displayName>Top % Gainers</displayName><scanCode>TOP_PERC_GAIN</scanCode></ScanType>
<ScanType><displayName>Most Active</displayName><scanCode>MOST_ACTIVE</scanCode></ScanType></ScanTypeList>
</ScanParameterResponse>
"""


class ServiceRequests:
    """The requests of one session for services that are empty or not allowed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._scanners: set[int] = set()

    def methods(self) -> Mapping[str, RequestMethod]:
        """Return the method of each request, by message name."""
        return {
            "reqNewsProviders": self.news_providers,
            "reqNewsArticle": _no_news,
            "reqHistoricalNews": _no_news,
            # There are no bulletins, and TWS sends nothing when there are none.
            "reqNewsBulletins": _silence,
            "cancelNewsBulletins": _silence,
            "reqWshMetaData": _no_news,
            "reqWshEventData": _no_news,
            "cancelWshMetaData": _silence,
            "cancelWshEventData": _silence,
            "reqFundamentalData": _no_fundamentals,
            "cancelFundamentalData": _silence,
            "reqScannerParameters": self.scanner_parameters,
            "reqScannerSubscription": self.scan,
            "cancelScannerSubscription": self.cancel_scan,
            "calculateImpliedVolatility": _no_calculation,
            "calculateOptionPrice": _no_calculation,
            "cancelCalculateImpliedVolatility": _silence,
            "cancelCalculateOptionPrice": _silence,
            "exerciseOptions": _no_exercise,
            "replaceFA": _no_advisor,
            "queryDisplayGroups": _no_windows,
            "subscribeToGroupEvents": _no_windows,
            "updateDisplayGroup": _no_windows,
            "unsubscribeFromGroupEvents": _silence,
            "setServerLogLevel": _silence,
        }

    def end_subscriptions(self) -> None:
        """End all scanners."""
        self._scanners.clear()

    def news_providers(self, _query: Fields) -> None:
        """Send an empty list: the account has no news subscriptions."""
        self._session.send("newsProviders")

    def scanner_parameters(self, _query: Fields) -> None:
        """Send a small document in TWS's format."""
        self._session.send("scannerParameters", xml=SCANNER_PARAMETERS)

    def scan(self, query: Fields) -> None:
        """Send TWS's answer when nothing fits: error 165 and an empty list (documented)."""
        request_id = query.required("reqId")
        if request_id in self._scanners:
            raise RefusedError(102, "Duplicate ticker ID.")
        self._scanners.add(request_id)
        text = "Historical Market Data Service query message:no items retrieved"
        self._session.error(request_id, 165, text)
        self._session.send("scannerData", reqId=request_id)

    def cancel_scan(self, query: Fields) -> None:
        """End a scanner, which error 162 confirms (reported); error 365 if there is none."""
        request_id = query.required("reqId")
        if request_id not in self._scanners:
            raise RefusedError(365, f"No scanner subscription found for ticker id:{request_id}")
        self._scanners.remove(request_id)
        text = "Historical Market Data Service error message:API scanner subscription cancelled: "
        raise RefusedError(162, f"{text}{request_id}")


def _silence(_query: Fields) -> None:
    """Accept the request and send no answer, as TWS does."""


def _no_news(_query: Fields) -> None:
    """Refuse news and Wall Street Horizon's calendar (captured for news, believed for the calendar)."""
    raise RefusedError(10276, "News is not allowed.")


def _no_fundamentals(_query: Fields) -> None:
    """Refuse fundamentals (documented)."""
    raise RefusedError(430, "The fundamentals data for the security specified is not available.")


def _no_calculation(_query: Fields) -> None:
    """Refuse: option prices and volatilities come with the option's market data."""
    raise invalid("option calculations are not supported; the option's market data has price and volatility")


def _no_exercise(_query: Fields) -> None:
    """Refuse: options can be closed, not exercised."""
    raise invalid("options cannot be exercised here; sell the option instead")


def _no_advisor(_query: Fields) -> None:
    """Refuse: no account here belongs to an advisor (documented)."""
    raise invalid("FA data operations ignored for non FA customers.")


def _no_windows(_query: Fields) -> None:
    """Refuse: display groups link windows of TWS, and the gateway has none."""
    raise invalid("display groups are not supported: there are no windows")
