"""The layout of a date and time, recognized from one example."""

from __future__ import annotations

import re

import msgspec

DATE_ORDERS = ("mdy", "dmy", "ymd")

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WEEKDAY = r"(?P<weekday>(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*)(?P<after>,? +)"
_DATES = (
    (re.compile(r"(?P<y>\d{4})(?P<s>[-/.])\d{1,2}(?P=s)\d{1,2}"), "%Y{s}%m{s}%d"),
    (re.compile(r"(?P<y>\d{4})[01]\d[0-3]\d(?=\D|$|\d{4}$|\d{6}$)"), "%Y%m%d"),
    (re.compile(r"\d{1,2}(?P<s>[-/.])\d{1,2}(?P=s)(?P<y>\d{4}|\d{2})(?!\d)"), ""),
    (re.compile(r"(?P<b>[a-z]{3,9})(?P<s>\.? +)\d{1,2}(?P<t>,? +)(?P<y>\d{4})", re.IGNORECASE), "%B{s}%d{t}%Y"),
    (
        re.compile(r"\d{1,2}(?P<s>[-/ .]+)(?P<b>[a-z]{3,9})(?P<t>[-/ .,]+)(?P<y>\d{4}|\d{2})(?!\d)", re.IGNORECASE),
        "%d{s}%B{t}%Y",
    ),
    (re.compile(r"(?P<y>\d{4})(?P<s>[-/ ])(?P<b>[a-z]{3,9})(?P<t>[-/ ])\d{1,2}", re.IGNORECASE), "%Y{s}%B{t}%d"),
)
_CLOCK = re.compile(
    r"(?P<between>[ T,;_\-]*)"
    r"(?:(?P<h>\d{1,2}):\d{2}(?P<sec>:\d{2})?(?P<frac>[.,]\d+)?|(?P<packed>\d{6}|\d{4}))"
    r"(?P<half>\s*[ap]m(?![a-z]))?",
    re.IGNORECASE,
)
_OFFSET = re.compile(r"\s*(?:utc|gmt)?\s*(?:z|[+-]\d{2}:?\d{2}|[+-]\d{2})|\s*(?:utc|gmt)", re.IGNORECASE)
_ZONE_NAME = re.compile(r"\s+[A-Z][A-Za-z_]+(?:/[A-Za-z_+\-0-9]+)*")


class Layout(msgspec.Struct, frozen=True):
    """The layout of one value.

    `form` is for strptime. If `mark` is set, `form` lacks the date: day, month and year, in unknown order, stand
    between such marks (and the year has `year_digits`). `tail` is the number of characters of the zone at the end.
    """

    form: str
    has_clock: bool
    mark: str = ""
    year_digits: int = 4
    tail: int = 0

    def with_order(self, order: str) -> str:
        """Return `form` with the date in this order."""
        year = "%Y" if self.year_digits == 4 else "%y"
        parts = {"m": "%m", "d": "%d", "y": year}
        return self.mark.join(parts[letter] for letter in order) + self.form


def layout_of(value: str) -> Layout | None:
    """Return the layout of a value, or None if it is not a date."""
    rest, weekday = value, ""
    if match := re.match(_WEEKDAY, value, re.IGNORECASE):
        rest, weekday = value[match.end() :], f"%A{match['after']}"
    for pattern, form in _DATES:
        match = pattern.match(rest)
        if match is None:
            continue
        groups = match.groupdict()
        if groups.get("b") and groups["b"].lower()[:3] not in _MONTHS:
            continue
        clock = _clock(rest[match.end() :])
        if clock is None:
            continue
        short = len(groups["y"]) == 2
        if not form:
            return Layout(clock.form, clock.has_clock, groups["s"], len(groups["y"]), clock.tail)
        date = form.format(s=groups.get("s", ""), t=groups.get("t", "")).replace("%Y", "%y" if short else "%Y")
        return Layout(weekday + date + clock.form, clock.has_clock, tail=clock.tail)
    return None


def _clock(text: str) -> Layout | None:
    """Return the layout of the time of day and the zone after a date."""
    if not text:
        return Layout("", has_clock=False)
    match = _CLOCK.match(text)
    form, rest = "", text
    if match is not None:
        rest = text[match.end() :]
        form = match["between"] + _clock_form(match)
    elif _OFFSET.fullmatch(text) is None:
        return None
    if rest and not _OFFSET.fullmatch(rest) and not _ZONE_NAME.fullmatch(rest):
        return None
    return Layout(form, has_clock=match is not None, tail=len(rest))


def _clock_form(match: re.Match[str]) -> str:
    if match["packed"]:
        return "%H%M%S" if len(match["packed"]) == 6 else "%H%M"
    hours = "%I" if match["half"] else "%H"
    form = f"{hours}:%M" + (":%S" if match["sec"] else "") + ("%.f" if match["frac"] else "")
    return form + (" %p" if match["half"] and match["half"][0].isspace() else "%p" if match["half"] else "")


def is_clock(value: str) -> bool:
    """Return whether a value is only a time of day."""
    match = _CLOCK.match(value)
    if match is None or match["between"]:
        return False
    rest = value[match.end() :]
    return not rest or bool(_OFFSET.fullmatch(rest) or _ZONE_NAME.fullmatch(rest))
