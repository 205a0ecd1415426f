"""The summary line: profit, account, activity and connections."""

from __future__ import annotations

import enum
from html import escape

from ibdesk.backtest import palette
from ibdesk.store.feed import Row, Topic
from ibdesk.views import theme
from ibdesk.views.live_text import LiveText
from ibdesk.views.state import BoardState, Totals


class FeedStatus(enum.Enum):
    """The state of the feed of a board."""

    CONNECTING = "connecting"
    """No row has arrived yet."""
    LIVE = "live"
    """The figures are current."""
    AWAY = "engine away"
    """The server has lost the engine; the figures are the last known."""
    RECONNECTING = "reconnecting"
    """The connection is lost; the figures are the last known."""
    REFUSED = "refused"
    """The server refuses the key; retrying does not help."""


_GOOD = frozenset({"up", "NORMAL", FeedStatus.LIVE.value})
_BAD = frozenset({"HALTED", "down", "closed", FeedStatus.REFUSED.value, FeedStatus.AWAY.value})
# The last row's state of TWS is valid only while the feed is live.
_CURRENT = frozenset({FeedStatus.LIVE, FeedStatus.CONNECTING})
_STYLE = f"""
:host {{ font: 13px {palette.FONT}; color: {palette.TEXT}; font-variant-numeric: tabular-nums; }}
.top {{ display: flex; flex-wrap: wrap; align-items: center; gap: 8px 26px; padding: 10px 8px 4px 8px; }}
.name {{ font-size: 16px; font-weight: 650; letter-spacing: .02em; }}
.who {{ color: {palette.MUTED}; margin-top: 2px; }}
.figure .label {{ color: {palette.MUTED}; font-size: 11px; }}
.figure .value {{ font-size: 16px; margin-top: 2px; white-space: nowrap; }}
.figure.large .value {{ font-size: 22px; font-weight: 600; margin-top: 0; }}
.states {{ margin-left: auto; display: flex; flex-direction: column; gap: 4px; white-space: nowrap; }}
.state::before {{ content: ""; display: inline-block; width: 8px; height: 8px; border-radius: 50%;
  margin-right: 7px; background: {palette.WARNING}; }}
.state.good::before {{ background: {palette.GAIN}; }}
.state.bad::before {{ background: {palette.LOSS}; }}
.state .what {{ color: {palette.MUTED}; }}
.gain {{ color: {palette.GAIN}; }} .loss {{ color: {palette.LOSS}; }}
@container (max-width: 1150px) {{
  .top {{ gap: 6px 16px; }} .figure .value {{ font-size: 14px; }} .figure.large .value {{ font-size: 18px; }} }}
.banner {{ background: {palette.LOSS}; color: #1b0605; font-weight: 600; padding: 7px 16px; }}
.banner.reducing {{ background: {palette.WARNING}; }}
"""


class SummaryView:
    """A line of figures and, while trading is halted, a banner; `view` is the Panel component."""

    def __init__(self) -> None:
        self._text = LiveText(_STYLE)
        self.view = self._text.view

    def show(self, state: BoardState, feed: FeedStatus) -> None:
        """Show the present figures; unchanged figures send nothing."""
        line = f'<div class="top">{_name(state)}{_figures(state)}{_states(state, feed)}</div>'
        self._text.show(_banner(state) + line)


def _banner(state: BoardState) -> str:
    link = state.newest(Topic.LINK, "link")
    if link is None:
        return ""
    return "".join(
        f'<div class="banner {escape(halt["state"])}">{escape(halt["state"].upper())}, {escape(halt["scope"])}: '
        f"{escape(halt['reason'])} (halt {escape(halt['id'])})</div>"
        for halt in link["halts"]
    )


def _trading(link: Row | None) -> str:
    """Return the strictest state of all halts, of any scope."""
    if link is None:
        return "waiting"
    states = {halt["state"] for halt in link["halts"]}
    return next((state.upper() for state in ("halted", "reducing") if state in states), "NORMAL")


def _name(state: BoardState) -> str:
    link, accounts = state.newest(Topic.LINK, "link"), state.latest(Topic.ACCOUNT)
    words = [accounts[0]["id"] if accounts else "", link["mode"] if link else ""]
    who = " · ".join(escape(word) for word in words if word) or "waiting for the desk"
    return f'<div><div class="name">ibdesk</div><div class="who">{who}</div></div>'


def _figures(state: BoardState) -> str:
    totals, accounts = state.totals(), state.latest(Topic.ACCOUNT)
    account: Row = accounts[0] if accounts else {"net_liquidation": None, "currency": ""}
    liquidation = f"{theme.money(_liquidation(account, totals))} {escape(account['currency'])}"
    orders, working = state.count(Topic.ORDERS), state.working_orders()
    return "".join(
        [
            _figure("P&amp;L", theme.profit(totals.profit), sign=totals.profit, large=True),
            _figure("Realized", theme.profit(totals.realized), sign=totals.realized),
            _figure("Unrealized", theme.profit(totals.unrealized), sign=totals.unrealized),
            _figure("Commission", theme.money(totals.commission)),
            _figure("Net liquidation", liquidation),
            _figure("Open positions", str(totals.open_positions)),
            _figure("Orders", f"{orders} ({working} working)" if working else str(orders)),
            _figure("Fills", str(state.count(Topic.FILLS))),
        ]
    )


def _liquidation(account: Row, totals: Totals) -> float | None:
    """Return the net liquidation value that matches the displayed profit.

    TWS reports it every three minutes; between reports, the change in the positions' profit is added.
    """
    told, before = account["net_liquidation"], account.get("gross_pnl")
    if told is None or before is None or totals.realized is None or totals.unrealized is None:
        return None if told is None else float(told)
    return float(told) + totals.realized + totals.unrealized - float(before)


def _figure(label: str, value: str, *, sign: float | None = None, large: bool = False) -> str:
    size = " large" if large else ""
    color = theme.sign_class(sign) if sign is not None else ""
    return f'<div class="figure{size}"><div class="label">{label}</div><div class="value {color}">{value}</div></div>'


def _states(state: BoardState, feed: FeedStatus) -> str:
    link = state.newest(Topic.LINK, "link")
    tws = (link["link"], link["address"] or "") if link else ("waiting", "")
    if link and feed not in _CURRENT:
        tws = ("not known", "")
    at = max((row["at_ns"] for row in state.latest(Topic.QUOTES)), default=0)
    newest = f"{theme.time_of_day(at)} UTC" if at else ""
    trading = _state("trading", _trading(link) if feed in _CURRENT else "not known", "")
    return f'<div class="states">{trading}{_state("TWS", *tws)}{_state("feed", feed.value, newest)}</div>'


def _state(what: str, word: str, detail: str) -> str:
    kind = "good" if word in _GOOD else "bad" if word in _BAD else ""
    return (
        f'<div class="state {kind}"><span class="what">{what}</span> {escape(word)} '
        f'<span class="what">{escape(detail)}</span></div>'
    )
