"""The vocabulary of TWS message tables: fields, conditions, repetitions.

A message is a tuple of entries. `fields("reqId:i price:f")` are plain ones; `AtVersion` has its entries at some server
versions only, `When` depends on earlier fields, `Repeat` occurs as often as the count before it, and `ConditionBody`
depends on the type of an order condition. The kinds are ``i`` integer, ``f`` decimal price, ``d`` size, ``b`` flag,
``s`` text; ``version:i=6`` is a field with a constant value. The messages are in `outgoing` and `incoming` beside this
module.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

UNSET_INTEGER = 2147483647
UNSET_LONG = 9223372036854775807
UNSET_NUMBER = 1.7976931348623157e308
UNSET_NUMBER_TEXT = "1.7976931348623157E308"
# "No value" of clients and TWS: the empty field, or the largest number of the type.
UNSET_TEXTS = frozenset(
    {
        "",
        str(UNSET_INTEGER),
        str(UNSET_LONG),
        UNSET_NUMBER_TEXT,
        "1.7976931348623157e+308",
        "-9223372036854775808",
    }
)
INFINITE_TEXTS = frozenset({"Infinity", "Infinite"})


class FieldKind(enum.Enum):
    """How a field's text is read."""

    INTEGER = "i"
    NUMBER = "f"
    SIZE = "d"
    FLAG = "b"
    TEXT = "s"


class Field(msgspec.Struct, frozen=True):
    """One field; `constant` is its fixed value, if the protocol has one."""

    name: str
    kind: FieldKind
    constant: str | None = None


class Since(msgspec.Struct, frozen=True):
    """Holds from this server version on."""

    version: int


class Before(msgspec.Struct, frozen=True):
    """Holds below this server version."""

    version: int


class Only(msgspec.Struct, frozen=True):
    """Holds at exactly this server version."""

    version: int


class OneOf(msgspec.Struct, frozen=True):
    """Holds if an earlier field has one of `texts`."""

    name: str
    texts: tuple[str, ...]


class NoneOf(msgspec.Struct, frozen=True):
    """Holds if an earlier field has none of `texts`."""

    name: str
    texts: tuple[str, ...]


class Positive(msgspec.Struct, frozen=True):
    """Holds if an earlier field is a number above zero."""

    name: str


class AnyOf(msgspec.Struct, frozen=True):
    """Holds if one of `tests` does."""

    tests: tuple[ContentTest, ...]


VersionTest = Since | Before | Only
ContentTest = OneOf | NoneOf | Positive | AnyOf


class AtVersion(msgspec.Struct, frozen=True):
    """Entries of some server versions only."""

    test: VersionTest
    then: tuple[Entry, ...]


class When(msgspec.Struct, frozen=True):
    """Entries that are present only if earlier fields require them."""

    test: ContentTest
    then: tuple[Entry, ...]


class Repeat(msgspec.Struct, frozen=True):
    """A count followed by that many groups, which are kept as a list under `rows`."""

    count: str
    rows: str
    each: tuple[Entry, ...]


class ConditionBody(msgspec.Struct, frozen=True):
    """The rest of an order condition, which depends on its type."""


Entry = Field | AtVersion | When | Repeat | ConditionBody


class MessageSpec(msgspec.Struct, frozen=True):
    """One message: its number on the wire, its name, and the entries after the number."""

    id: int
    name: str
    entries: tuple[Entry, ...] = ()


def fields(text: str) -> tuple[Field, ...]:
    """Return the fields of ``name:kind`` words, separated by blanks."""
    found = []
    for word in text.split():
        name, _, rest = word.partition(":")
        kind, _, constant = rest.partition("=")
        found.append(Field(name, FieldKind(kind), constant or None))
    return tuple(found)


def version_holds(test: VersionTest, version: int) -> bool:
    """Return whether a message of this server version has the entries of `test`."""
    match test:
        case Since():
            return version >= test.version
        case Before():
            return version < test.version
        case Only():
            return version == test.version


def content_holds(test: ContentTest, texts: Mapping[str, object]) -> bool:
    """Return whether the fields read so far require the entries of `test`."""
    match test:
        case OneOf():
            return texts.get(test.name, "") in test.texts
        case NoneOf():
            return texts.get(test.name, "") not in test.texts
        case Positive():
            return _is_positive(str(texts.get(test.name, "")))
        case AnyOf():
            return any(content_holds(each, texts) for each in test.tests)


def _is_positive(text: str) -> bool:
    try:
        return text not in UNSET_TEXTS and float(text) > 0
    except ValueError:
        return False


def for_version(entries: tuple[Entry, ...], version: int) -> tuple[Entry, ...]:
    """Return the entries at one server version, with its conditions resolved."""
    plan: list[Entry] = []
    for entry in entries:
        match entry:
            case AtVersion(test, then):
                if version_holds(test, version):
                    plan.extend(for_version(then, version))
            case When(test, then):
                plan.append(When(test, for_version(then, version)))
            case Repeat(count, rows, each):
                plan.append(Repeat(count, rows, for_version(each, version)))
            case _:
                plan.append(entry)
    return tuple(plan)


# ---- blocks shared by several messages ----------------------------------------------------------------------------

CONTRACT = fields(
    "conId:i symbol:s secType:s lastTradeDateOrContractMonth:s strike:f right:s multiplier:s exchange:s "
    "primaryExchange:s currency:s localSymbol:s tradingClass:s"
)
# Most messages of the server have no primary exchange.
CONTRACT_WITHOUT_PRIMARY = tuple(field for field in CONTRACT if field.name != "primaryExchange")

TAG_VALUE = fields("tag:s value:s")
LEG = fields(
    "legConId:i ratio:i legAction:s legExchange:s legOpenClose:i legShortSaleSlot:i "
    "legDesignatedLocation:s legExemptCode:i"
)
COMBO = OneOf("secType", ("BAG",))
DATA_LEGS = When(
    COMBO, (Repeat("comboLegsCount", "comboLegs", fields("legConId:i ratio:i legAction:s legExchange:s")),)
)
SET = ("", "0")
SCALE_DETAILS = When(
    Positive("scalePriceIncrement"),
    fields(
        "scalePriceAdjustValue:f scalePriceAdjustInterval:i scaleProfitOffset:f scaleAutoReset:b "
        "scaleInitPosition:i scaleInitFillQty:i scaleRandomPercent:b"
    ),
)
HEDGE: tuple[Entry, ...] = (*fields("hedgeType:s"), When(NoneOf("hedgeType", ("",)), fields("hedgeParam:s")))
ALGORITHM: tuple[Entry, ...] = (
    *fields("algoStrategy:s"),
    When(NoneOf("algoStrategy", ("",)), (Repeat("algoParamsCount", "algoParams", TAG_VALUE),)),
)
DELTA_NEUTRAL_CONTRACT: tuple[Entry, ...] = (
    *fields("deltaNeutralContractPresent:b"),
    When(NoneOf("deltaNeutralContractPresent", SET), fields("dnConId:i dnDelta:f dnPrice:f")),
)
PEGGED_TO_BENCHMARK = When(
    OneOf("orderType", ("PEG BENCH", "PEGBENCH")),
    fields(
        "referenceContractId:i isPeggedChangeAmountDecrease:b peggedChangeAmount:f referenceChangeAmount:f "
        "referenceExchangeId:s"
    ),
)
CONDITIONS: tuple[Entry, ...] = (
    Repeat("conditionsCount", "conditions", (*fields("condType:i"), ConditionBody())),
    When(NoneOf("conditionsCount", SET), fields("conditionsIgnoreRth:b conditionsCancelOrder:b")),
)
CONDITION_BODIES: dict[str, tuple[Field, ...]] = {
    "1": fields("conjunction:s isMore:b price:f conId:i exch:s triggerMethod:i"),
    "3": fields("conjunction:s isMore:b time:s"),
    "4": fields("conjunction:s isMore:b percent:i"),
    "5": fields("conjunction:s secType:s exch:s symbol:s"),
    "6": fields("conjunction:s isMore:b volume:i conId:i exch:s"),
    "7": fields("conjunction:s isMore:b changePercent:f conId:i exch:s"),
}
"""By condition type: price, time, margin, execution, volume, change in per cent."""
DELTA_NEUTRAL_ORDER = When(
    NoneOf("deltaNeutralOrderType", ("",)),
    fields(
        "deltaNeutralConId:i deltaNeutralSettlingFirm:s deltaNeutralClearingAccount:s "
        "deltaNeutralClearingIntent:s deltaNeutralOpenClose:s deltaNeutralShortSale:b "
        "deltaNeutralShortSaleSlot:i deltaNeutralDesignatedLocation:s"
    ),
)
PEGGED_TO_BEST = AtVersion(
    Since(170),
    fields("minTradeQty:i minCompeteSize:i competeAgainstBestOffset:f midOffsetAtWhole:f midOffsetAtHalf:f"),
)
