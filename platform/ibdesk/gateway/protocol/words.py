"""Every message of the protocol as one readable line.

``placeOrder 12: BUY 100 AAPL STK SMART LMT 99.5 DAY``. The most common messages have a sentence of their own; all
others are their name and their fields by name, without empty ones.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping

from ibdesk.gateway.protocol.codec import Fields, Texts, decode
from ibdesk.gateway.protocol.fields import UNSET_TEXTS, Field, FieldKind, MessageSpec
from ibdesk.gateway.protocol.framing import ProtocolError, integer, split
from ibdesk.gateway.protocol.incoming import INCOMING
from ibdesk.gateway.protocol.outgoing import OUTGOING

LINE_LENGTH = 240
BINARY_SINCE = 201
"""From this server version on a message is its number in four bytes, then protobuf."""
_ROWS_SHOWN = 2
_DECIMAL = re.compile(r"-?[0-9]+\.[0-9]+")
_LOWEST_VERSION = 100
_TICK_TYPES = {
    "0": "bid size",
    "1": "bid",
    "2": "ask",
    "3": "ask size",
    "4": "last",
    "5": "last size",
    "6": "high",
    "7": "low",
    "8": "volume",
    "9": "close",
    "14": "open",
    "45": "last at",
    "49": "halted",
    "66": "delayed bid",
    "67": "delayed ask",
    "68": "delayed last",
}
# The meaning of auxPrice for each order type.
_AUXILIARY = {
    "STP": "stop",
    "STP LMT": "stop",
    "STP PRT": "stop",
    "TRAIL": "by",
    "TRAIL LIMIT": "by",
    "MIT": "trigger",
    "LIT": "trigger",
    "REL": "offset",
    "PEG MKT": "offset",
    "PEG MID": "offset",
}
# Fields in which zero means "none" for clients and TWS.
_NONE_WHEN_ZERO = frozenset({"conId", "strike", "parentId", "mktCapPrice", "exemptCode", "liquidation"})


def describe_payload(payload: bytes, version: int, *, by_client: bool) -> str:
    """Return a line for any payload, readable or not; `version` is the session's server version."""
    if version >= BINARY_SINCE:
        return f"binary message {int.from_bytes(payload[:4], 'big')}, {len(payload):,} bytes"
    if by_client and payload.startswith(b"v"):
        return f"speaks versions {_cut(payload[1:].decode('ascii', 'replace'), 40)}"
    try:
        texts = split(payload)
    except ProtocolError as error:
        return f"unreadable: {error}"
    return describe_fields(texts, version, by_client=by_client)


def describe_fields(texts: list[str], version: int, *, by_client: bool) -> str:
    """Return a line for a message, given its fields, the number first."""
    number = integer(texts[0]) or 0
    message = (INCOMING if by_client else OUTGOING).get(number)
    if message is None:
        if not by_client and number > _LOWEST_VERSION and len(texts) == 2:
            return _cut(f"server version {number}, {texts[1]}")
        return _cut(f"message {texts[0][:10]!r}: {' | '.join(texts[1:])}")
    try:
        found = Fields(message.name, decode(message, texts, version))
    except ProtocolError as error:
        return _cut(f"{message.name}, malformed: {error}")
    sentence = _SENTENCES.get(message.name)
    said = _pairs(found.texts, message) if sentence is None else sentence(found)
    return _cut(f"{message.name} {said}".rstrip())


# ---- any message --------------------------------------------------------------------------------------------------


def _pairs(texts: Texts, message: MessageSpec | None = None) -> str:
    """Return the fields with a value; `message` tells which of them never have one."""
    constants, flags = (frozenset({"version"}), frozenset()) if message is None else _silent(message)
    shown = []
    for name, text in texts.items():
        if isinstance(text, list):
            shown.append(_rows(name, text))
        elif not (name in constants or _says_nothing(name, text) or (name in flags and text in ("0", "false"))):
            shown.append(f"{name}={_number(text)}")
    return " ".join(part for part in shown if part)


@functools.cache
def _silent(message: MessageSpec) -> tuple[frozenset[str], frozenset[str]]:
    """Return the constant fields, and the flags, which are shown only when set."""
    fields = [entry for entry in message.entries if isinstance(entry, Field)]
    constants = frozenset(field.name for field in fields if field.constant is not None)
    return constants | {"version"}, frozenset(field.name for field in fields if field.kind is FieldKind.FLAG)


def _says_nothing(name: str, text: str) -> bool:
    # The number of rows is shown with the rows.
    return text in UNSET_TEXTS or name.endswith("Count") or (name in _NONE_WHEN_ZERO and _number(text) == "0")


def _rows(name: str, rows: list[Texts]) -> str:
    if not rows:
        return ""
    if len(rows) <= _ROWS_SHOWN:
        return f"{name}=[{'; '.join(_pairs(row) for row in rows)}]"
    first, last = (_pairs(row) for row in (rows[0], rows[-1]))
    return f"{name}={len(rows):,}, from [{first}] to [{last}]"


def _number(text: str) -> str:
    """Return a text; a number without needless decimals."""
    return text.rstrip("0").removesuffix(".") if _DECIMAL.fullmatch(text) else text


def _cut(text: str, length: int = LINE_LENGTH) -> str:
    plain = text.translate(_CONTROLS)
    return plain if len(plain) <= length else f"{plain[: length - 1]}\N{HORIZONTAL ELLIPSIS}"


# A message may contain line breaks and control characters; its line must not disturb the terminal.
_CONTROLS = dict.fromkeys((*range(32), *range(127, 160), 0x2028, 0x2029), " ")


# ---- the most common messages -------------------------------------------------------------------------------------


def _contract(found: Fields) -> str:
    names = ("symbol", "secType", "lastTradeDateOrContractMonth", "strike", "right", "exchange")
    parts = [_number(found.text(name)) for name in names if not _is_empty(found, name)]
    return " ".join(parts) or f"contract {found.text('conId')}"


def _is_empty(found: Fields, name: str) -> bool:
    return found.text(name) in (*UNSET_TEXTS, "?") or (name in ("strike", "right") and _number(found.text(name)) == "0")


def _order(found: Fields) -> str:
    kind = found.text("orderType")
    parts = [found.text("action"), _number(found.text("totalQuantity")), _contract(found), kind]
    if found.number("lmtPrice"):
        parts.append(_number(found.text("lmtPrice")))
    if found.number("auxPrice"):
        parts += [_AUXILIARY.get(kind, "aux"), _number(found.text("auxPrice"))]
    if found.number("trailingPercent"):
        parts += ["by", f"{_number(found.text('trailingPercent'))} %"]
    parts.append(found.text("tif"))
    return " ".join(part for part in parts if part) + _terms(found)


def _terms(found: Fields) -> str:
    """Return the further terms of an order that affect its working."""
    labelled = (("parentId", "parent"), ("ocaGroup", "group"), ("goodTillDate", "until"), ("goodAfterTime", "after"))
    terms = [f"{label} {found.text(name)}" for name, label in labelled if found.text(name) not in (*UNSET_TEXTS, "0")]
    marks = (("outsideRth", "also outside regular hours"), ("whatIf", "only to know what it would cost"))
    terms += [words for name, words in marks if found.flag(name)]
    if found.text("transmit") == "0":
        terms.append("held back until its group is complete")
    if conditions := found.rows("conditions"):
        terms.append(f"{len(conditions)} condition(s)")
    if found.text("algoStrategy"):
        terms.append(found.text("algoStrategy"))
    if found.text("orderRef"):
        terms.append(f"ref {found.text('orderRef')}")
    return "".join(f", {term}" for term in terms)


def _open_order(found: Fields) -> str:
    return f"{found.text('orderId')}: {_order(found)}: {found.text('status')} (client {found.text('clientId')})"


def _order_status(found: Fields) -> str:
    parts = [
        f"{found.text('orderId')}: {found.text('status')}",
        f"filled {_number(found.text('filled'))}",
        f"remaining {_number(found.text('remaining'))}",
    ]
    if found.number("avgFillPrice"):
        parts.append(f"at {_number(found.text('avgFillPrice'))} on average")
    if found.text("whyHeld"):
        parts.append(f"held: {found.text('whyHeld')}")
    return ", ".join(parts)


def _execution(found: Fields) -> str:
    verb = {"BOT": "bought", "SLD": "sold"}.get(found.text("side"), found.text("side"))
    return (
        f"{found.text('orderId')}: {verb} {_number(found.text('shares'))} {_contract(found)} at "
        f"{_number(found.text('price'))}, {_number(found.text('cumQty'))} in all ({found.text('execId')})"
    )


def _commission(found: Fields) -> str:
    profit = found.number("realizedPNL")
    realized = "" if profit is None else f", realized {_number(found.text('realizedPNL'))}"
    cost = f"{_number(found.text('commission'))} {found.text('currency')}"
    return f"{found.text('execId')}: {cost}{realized}"


def _error(found: Fields) -> str:
    concerned = found.text("id")
    about = "" if concerned == "-1" else f" about {concerned}"
    return f"{found.text('errorCode')}{about}: {found.text('errorMsg')}"


def _tick(found: Fields) -> str:
    kind = found.text("tickType")
    price = found.text("price")
    parts = [f"{found.text('reqId')}: {_TICK_TYPES.get(kind, f'type {kind}')}"]
    if price:
        parts.append(_number(price))
    if size := found.text("size"):
        parts.append(f"x {_number(size)}" if price else _number(size))
    return " ".join(parts)


_SENTENCES: Mapping[str, Callable[[Fields], str]] = {
    "startApi": lambda found: f"as client {found.text('clientId')}",
    "managedAccounts": lambda found: found.text("accounts"),
    "nextValidId": lambda found: found.text("orderId"),
    "placeOrder": lambda found: f"{found.text('orderId')}: {_order(found)}",
    "cancelOrder": lambda found: found.text("orderId"),
    "openOrder": _open_order,
    "orderStatus": _order_status,
    "execDetails": _execution,
    "commissionReport": _commission,
    "errMsg": _error,
    "tickPrice": _tick,
    "tickSize": _tick,
}
