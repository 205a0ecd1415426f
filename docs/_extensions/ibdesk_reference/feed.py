"""The page of the feed: how a connection goes, every message, every topic with its columns."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, get_args

from ibdesk.desk import ledger, marks, publisher, reconciliation
from ibdesk.desk.emas import EmaBoard
from ibdesk.store.feed import Topic
from ibdesk.store.layout import LAYOUTS
from ibdesk_reference.markdown import code, docstring, heading, prose, table
from ibdesk_reference.structs import fields, notes_of
from ibdesk_server.feed import filter as filters
from ibdesk_server.feed import protocol, token
from ibdesk_server.feed.limits import FeedLimits
from ibdesk_server.security import presented

# Where the rows of each topic are made.
_MAKERS: dict[Topic, Callable[..., Any]] = {
    Topic.QUOTES: publisher.Publisher._on_quote,
    Topic.BARS: publisher.Publisher._bar,
    Topic.PROGRESS: marks.Marks._progress,
    Topic.EMAS: EmaBoard._row,
    Topic.INDICATORS: publisher.Publisher._indicator,
    Topic.ORDERS: ledger.order_row,
    Topic.FILLS: ledger.fill_row,
    Topic.POSITIONS: ledger.Ledger.position_rows,
    Topic.ACCOUNT: publisher.Publisher._on_account_report,
    Topic.RUNS: publisher.run_row,
    Topic.RISK: marks.risk_row,
    Topic.RECONCILIATION: reconciliation.Reconciliation._publish,
    Topic.LINK: publisher.Publisher.link,
    Topic.ALERTS: publisher.Publisher.alert,
}
_STAMPED = ("owner", "at_ns", "pnl")
_SUMS = ("unrealized_pnl", "realized_pnl", "commission")
# A column for each span in `ema_spans`.
_AVERAGES = "ema_<span>"


def columns_of(topic: Topic) -> list[str]:
    """Return the columns of a topic's rows, as the code that publishes them spells them."""
    if topic is Topic.EQUITY:
        return list(_STAMPED)
    if topic is Topic.PNL:
        return [*_STAMPED, *_SUMS]
    found = next(_keys(_MAKERS[topic]))
    return [*found, _AVERAGES] if topic is Topic.EMAS else found


def as_markdown() -> str:
    """Return the protocol, its messages, the topics and the limits."""
    first, about = prose(inspect.getdoc(protocol) or "").split("\n\n", 1)
    return "\n".join(
        [
            f"{first} The version of the protocol is **{protocol.SCHEMA}**.\n",
            heading(2, "Access"),
            _access(),
            heading(2, "A connection"),
            about + "\n",
            heading(2, "Messages of a client"),
            *(_message(each) for each in get_args(protocol.ClientMessage)),
            heading(2, "Messages of the server"),
            *(_message(each) for each in get_args(protocol.ServerMessage) if each not in _OF_BOTH),
            heading(2, "Topics"),
            "A conflated topic sends a slow client the newest row of each key; the others send every row.\n",
            table(["topic", "key", "conflated", "rows in a snapshot for each thing", "filters"], map(_topic, LAYOUTS)),
            *(_columns(topic) for topic in LAYOUTS),
            heading(2, "Close codes"),
            table(["code", "name", "the same client may try again"], _codes()),
            heading(2, "The token"),
            docstring(token) + "\n",
            heading(2, "Limits"),
            f"A filter has at most {filters.MAX_NAMES:,} names, {filters.MAX_PATTERNS} of them patterns. A message of "
            f"a client has at most {protocol.MAX_MESSAGE_BYTES:,} bytes. The section "
            "[`server.feed`](#settings-server.feed) of the settings sets the others:\n",
            docstring(FeedLimits) + "\n",
        ]
    )


def _access() -> str:
    """Return the ways in which a client says who it is."""
    rows = [
        ["a header", f"{code(presented.KEY_HEADER)}: a key; or {code('Authorization: Bearer')}: a key or access token"],
        ["a cookie", f"{code(presented.COOKIE)}, which a browser has after its login"],
        [
            "a subprotocol",
            f"{code(presented.FEED_PROTOCOL)} together with {code(presented._BEARER_PROTOCOL + 'KEY')}, for a browser "
            "that can set no header",
        ],
        ["the first message", f"{code('auth')} within [`server.feed.auth_seconds`](#settings-server.feed)"],
    ]
    return f"A client needs the role `viewer`. It says who it is in one of these ways:\n\n{table(['by', 'what'], rows)}"


_OF_BOTH = tuple(each for each in get_args(protocol.ServerMessage) if each in get_args(protocol.ClientMessage))


def _message(cls: Any) -> str:
    about = docstring(cls).removeprefix("Client: ").removeprefix("Server: ").removeprefix("Either side: ")
    side = " (either side)" if cls in _OF_BOTH else ""
    return "\n".join(
        [
            heading(3, f"{code(cls.__struct_config__.tag)}{side}"),
            f"{about[0].upper()}{about[1:]}\n",
            fields(cls),
        ]
    )


def _topic(topic: Topic) -> list[str]:
    layout = LAYOUTS[topic]
    names = {"symbols": layout.symbol, "owners": layout.owner}
    chosen = ", ".join(f"{code(word)} by {code(column)}" for word, column in names.items() if column)
    return [
        f"[{code(topic.value)}](#feed-{topic.value})",
        ", ".join(map(code, layout.key)) or "one row",
        "yes" if topic.conflated else "no",
        f"{layout.kept:,}",
        chosen,
    ]


def _columns(topic: Topic) -> str:
    note = notes_of(Topic)[topic.name]
    about = f"{note[:1].upper()}{note[1:].rstrip('.')}.\n"
    columns = f"Columns: {', '.join(map(code, columns_of(topic)))}.\n"
    return "\n".join([heading(3, code(topic.value), target=f"feed-{topic.value}"), about, columns])


def _codes() -> list[list[str]]:
    found = {name: value for name, value in vars(protocol).items() if name.isupper() and _is_code(value)}
    again = dict.fromkeys(protocol.FINAL_CODES, "no") | {protocol.LOGIN_ENDED: "with another key or login"}
    return [
        [code(value), name.lower().replace("_", " "), again.get(value, "yes")]
        for name, value in sorted(found.items(), key=lambda each: each[1])
    ]


def _is_code(value: object) -> bool:
    return isinstance(value, int) and 1_000 <= value < 5_000


def _keys(function: Callable[..., Any]) -> Iterator[list[str]]:
    """Yield the keys of each dict with names that a function spells, in the order of the source."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Dict) and len(node.keys) > 1]
    for node in sorted(found, key=lambda each: each.lineno):
        yield [key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
