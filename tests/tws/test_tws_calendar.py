"""Planned absences of IB and TWS: windows by region, by setting, by IBC's file, over the change of clocks."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from ibdesk.errors import ConfigError
from ibdesk.model import VenueWindow, WindowKind, moment, nanoseconds
from ibdesk.tws.calendar import TwsCalendar, WindowRule
from ibdesk.tws.calendar_settings import CalendarSettings
from ibdesk.tws.ibc import IbcTimes, parse_ibc, read_ibc

NEW_YORK, BERLIN, HONG_KONG = (ZoneInfo(name) for name in ("America/New_York", "Europe/Berlin", "Asia/Hong_Kong"))
MINUTE = 60_000_000_000
ZONES = ["America/New_York", "Europe/Berlin", "Asia/Hong_Kong", "Australia/Lord_Howe", "UTC"]


def at(text: str, zone: ZoneInfo = NEW_YORK) -> int:
    return nanoseconds(dt.datetime.fromisoformat(text).replace(tzinfo=zone))


def local(window: VenueWindow | None, zone: ZoneInfo = NEW_YORK) -> tuple[str, str, str]:
    assert window is not None
    begins, ends = (moment(each).astimezone(zone) for each in (window.begins_ns, window.ends_ns))
    return window.kind.value, f"{begins:%a %d %b %H:%M}", f"{ends:%a %d %b %H:%M}"


def windows_from(calendar: TwsCalendar, at_ns: int, count: int) -> list[VenueWindow]:
    """Return `count` windows, each requested at the end of the previous one."""
    found = []
    for _ in range(count):
        window = calendar.window(at_ns)
        assert window is not None
        found.append(window)
        at_ns = window.ends_ns
    return found


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace the home folder, so that the user's own IBC file is not read."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_week_in_the_us() -> None:
    """Monday 30 November 2026 is a day like any other: restart at 23:45, servers at 00:15, the weekend, the login."""
    calendar = CalendarSettings(guard_minutes=0).calendar()

    week = [local(each) for each in windows_from(calendar, at("2026-11-30 12:00"), 11)]

    assert week == [
        ("daily_restart", "Mon 30 Nov 23:45", "Mon 30 Nov 23:55"),
        ("server_reset", "Tue 01 Dec 00:15", "Tue 01 Dec 01:45"),
        ("daily_restart", "Tue 01 Dec 23:45", "Tue 01 Dec 23:55"),
        ("server_reset", "Wed 02 Dec 00:15", "Wed 02 Dec 01:45"),
        ("daily_restart", "Wed 02 Dec 23:45", "Wed 02 Dec 23:55"),
        ("server_reset", "Thu 03 Dec 00:15", "Thu 03 Dec 01:45"),
        ("daily_restart", "Thu 03 Dec 23:45", "Thu 03 Dec 23:55"),
        ("server_reset", "Fri 04 Dec 00:15", "Fri 04 Dec 01:45"),
        # The restart of Friday lies inside the weekend's maintenance.
        ("weekend_reset", "Fri 04 Dec 23:00", "Sat 05 Dec 03:00"),
        ("daily_restart", "Sat 05 Dec 23:45", "Sat 05 Dec 23:55"),
        # The login of the week begins at 01:00, inside the reset, and may take until 01:30.
        ("server_reset", "Sun 06 Dec 00:15", "Sun 06 Dec 01:45"),
    ]


@pytest.mark.parametrize(
    ("region", "zone", "asked", "expected"),
    [
        ("europe", BERLIN, "2026-12-01 02:00", ("server_reset", "Tue 01 Dec 06:25", "Tue 01 Dec 07:45")),
        ("asia", HONG_KONG, "2026-12-01 02:00", ("server_reset", "Tue 01 Dec 04:45", "Tue 01 Dec 06:05")),
        ("asia", HONG_KONG, "2026-12-01 12:00", ("server_reset", "Tue 01 Dec 20:15", "Tue 01 Dec 21:15")),
        ("europe", NEW_YORK, "2026-12-04 22:30", ("weekend_reset", "Fri 04 Dec 23:00", "Sat 05 Dec 03:00")),
    ],
)
def test_the_resets_of_other_regions(region, zone, asked, expected) -> None:
    calendar = CalendarSettings(region=region, guard_minutes=0).calendar()

    assert local(calendar.window(at(asked, zone)), zone) == expected


def test_the_guard_time_comes_before_the_window_and_joins_two_that_it_bridges() -> None:
    window = CalendarSettings(guard_minutes=20).calendar().window(at("2026-11-30 12:00"))

    # 23:45 to 23:55 and 00:15 to 01:45: twenty minutes before 00:15 the first has just ended.
    assert local(window) == ("server_reset", "Mon 30 Nov 23:45", "Tue 01 Dec 01:45")
    assert window is not None
    assert window.begins_ns - window.guard_ns == 20 * MINUTE


def test_the_login_of_the_week_waits_for_a_person() -> None:
    settings = CalendarSettings(
        region="none", zone="America/New_York", weekly_login="Sun 01:00", two_factor_hours="08:00-22:00"
    )

    assert local(settings.calendar().window(at("2026-12-05 12:00"))) == (
        "weekly_login",
        "Sun 06 Dec 01:00",
        "Sun 06 Dec 08:30",
    )


def test_a_person_who_is_there_at_night_is_not_waited_for() -> None:
    settings = CalendarSettings(
        region="none", zone="America/New_York", weekly_login="Sun 01:00", two_factor_hours="22:00-06:00"
    )

    assert local(settings.calendar().window(at("2026-12-05 12:00")))[2] == "Sun 06 Dec 01:30"


def test_without_a_region_and_without_times_there_is_no_window() -> None:
    assert CalendarSettings(region="none").calendar().window(at("2026-12-05 12:00")) is None


def test_a_time_that_is_set_takes_the_place_of_the_usual_one() -> None:
    settings = CalendarSettings(region="none", zone="Europe/Berlin", restart_time="04:30", restart_minutes=3)

    assert local(settings.calendar().window(at("2026-12-01 05:00", BERLIN)), BERLIN) == (
        "daily_restart",
        "Wed 02 Dec 04:30",
        "Wed 02 Dec 04:33",
    )


@pytest.mark.parametrize(
    ("day", "utc"),
    [("2026-10-30", "2026-10-31T03:45:00+00:00"), ("2026-11-02", "2026-11-03T04:45:00+00:00")],
    ids=["summer time", "winter time"],
)
def test_a_restart_is_at_the_same_wall_time_after_the_clocks_change(day, utc) -> None:
    calendar = CalendarSettings(region="none", zone="America/New_York", restart_time="23:45").calendar()

    window = calendar.window(at(f"{day} 12:00"))

    assert window is not None
    assert moment(window.begins_ns).isoformat() == utc


def test_a_reset_over_the_hour_that_comes_twice_lasts_an_hour_longer() -> None:
    """In Berlin the clock goes from 3:00 back to 2:00 on 25 October 2026: 01:30 to 03:30 lasts three hours."""
    rule = WindowRule(
        kind=WindowKind.SERVER_RESET,
        zone="Europe/Berlin",
        weekdays=frozenset(range(7)),
        begins=dt.time(1, 30),
        until=dt.time(3, 30),
    )

    begins, ends = rule.on(dt.date(2026, 10, 25)) or (0, 0)

    assert (ends - begins) // MINUTE == 180


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"restart_time": "23:61"}, "a time of 24 hours such as 23:45"),
        ({"restart_time": "11:45 PM"}, "a time of 24 hours such as 23:45"),
        ({"weekly_login": "Sunday 01:00"}, "a day and a time such as Sun 01:00"),
        ({"two_factor_hours": "8-22"}, "two times such as 08:00-22:00"),
        ({"two_factor_hours": "08:00-08:00"}, "two times such as 08:00-22:00"),
        ({"zone": "New York"}, "not a time zone"),
        ({"guard_minutes": -1}, "greater than or equal to 0"),
    ],
)
def test_a_wrong_time_is_refused(settings, words) -> None:
    with pytest.raises(ValidationError, match=words):
        CalendarSettings(**settings)


# ---- laws ---------------------------------------------------------------------------------------------------------

RULES = st.builds(
    WindowRule,
    kind=st.sampled_from(WindowKind),
    zone=st.sampled_from(ZONES),
    weekdays=st.frozensets(st.integers(0, 6), min_size=1),
    begins=st.times().map(lambda time: time.replace(second=0, microsecond=0)),
    minutes=st.integers(1, 600),
)
INSTANTS = st.integers(at("2020-01-01"), at("2035-01-01"))


@given(st.lists(RULES, min_size=1, max_size=3), INSTANTS, st.integers(0, 60))
def test_nothing_bars_before_the_window_that_is_told(rules, at_ns, guard) -> None:
    calendar = TwsCalendar(rules, guard_minutes=guard)
    window = calendar.window(at_ns)

    assert window is not None
    assert window.ends_ns > at_ns
    assert window.guard_ns == window.begins_ns - guard * MINUTE
    # At each instant, each rule's own windows lie inside the returned window or outside it completely.
    for rule in rules:
        today = moment(at_ns).date()
        for ahead in range(-3, 4):
            begins_ns, ends_ns = rule.on(today + dt.timedelta(ahead)) or (0, 0)
            if ends_ns > at_ns and begins_ns - guard * MINUTE < window.ends_ns:
                assert window.guard_ns <= begins_ns - guard * MINUTE
                assert ends_ns <= window.ends_ns


@given(RULES, INSTANTS, st.integers(0, 60), st.floats(0, 1))
def test_the_same_window_is_told_until_it_ends(rule, at_ns, guard, part) -> None:
    calendar = TwsCalendar([rule], guard_minutes=guard)
    window = calendar.window(at_ns)

    assert window is not None
    between = at_ns + int((window.ends_ns - 1 - at_ns) * part)
    later = calendar.window(between)
    if window.ends_ns - window.begins_ns < 24 * 60 * MINUTE:
        assert later == window


@given(RULES, INSTANTS)
@example(
    WindowRule(
        kind=WindowKind.DAILY_RESTART,
        zone="America/New_York",
        weekdays=frozenset({6}),
        begins=dt.time(1, 30),
        minutes=5,
    ),
    nanoseconds(dt.datetime(2026, 11, 1, tzinfo=dt.UTC)),
)
def test_a_window_begins_at_its_wall_time_on_its_day(rule, at_ns) -> None:
    window = TwsCalendar([rule]).window(at_ns)

    assert window is not None
    begins = moment(window.begins_ns).astimezone(ZoneInfo(rule.zone))
    # A wall time that a clock change skips is off by an hour (half an hour at Lord Howe).
    shift = dt.datetime.combine(begins.date(), begins.time()) - dt.datetime.combine(begins.date(), rule.begins)
    assert abs(shift) <= dt.timedelta(hours=1)
    if shift:
        named = dt.datetime.combine(begins.date(), rule.begins, ZoneInfo(rule.zone))
        assert named.astimezone(dt.UTC).astimezone(ZoneInfo(rule.zone)).time() != rule.begins
    assert begins.weekday() in rule.weekdays or shift


# ---- IBC ----------------------------------------------------------------------------------------------------------

IBC = """\
# Configuration of IBC
IbLoginId=edemo
IbPassword=demouser
#AutoRestartTime=01:00 AM
AutoRestartTime=08:35 PM
AutoLogoffTime =
ColdRestartTime=07:05
ClosedownAt=Friday 22:00
"""


def test_the_times_of_ibc() -> None:
    assert parse_ibc(IBC) == IbcTimes(
        auto_restart=dt.time(20, 35),
        cold_restart=dt.time(7, 5),
        closedown=dt.time(22, 0),
        closedown_weekday=4,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AutoRestartTime=12:00 AM", {"auto_restart": dt.time(0, 0)}),
        ("AutoRestartTime=12:30 pm", {"auto_restart": dt.time(12, 30)}),
        ("AutoLogoffTime=11:55 PM", {"auto_logoff": dt.time(23, 55)}),
        ("ClosedownAt=22:00", {"closedown": dt.time(22, 0)}),
        ("ClosedownAt=Freitag 22:00", {"closedown": dt.time(22, 0)}),
        ("AutoRestartTime=01:00 AM\nAutoRestartTime=02:00 AM", {"auto_restart": dt.time(2, 0)}),
        ("! AutoRestartTime=01:00 AM", {}),
        ("", {}),
    ],
)
def test_how_ibc_writes_times(text, expected) -> None:
    assert parse_ibc(text) == IbcTimes(**expected)


@pytest.mark.parametrize("line", ["AutoRestartTime=25:00 AM", "AutoRestartTime=20:35", "ColdRestartTime=7 o'clock"])
def test_a_time_that_ibc_cannot_mean_is_refused(line) -> None:
    with pytest.raises(ConfigError, match=f"{line.split('=')[0]} of IBC's config.ini is "):
        parse_ibc(line)


def test_the_calendar_follows_ibc(tmp_path: Path) -> None:
    path = tmp_path / "config.ini"
    path.write_text(IBC)
    calendar = CalendarSettings(region="none", zone="Europe/Berlin", ibc_config=path).calendar()

    told = [local(each, BERLIN) for each in windows_from(calendar, at("2026-12-04 12:00", BERLIN), 4)]

    assert told == [
        ("daily_restart", "Fri 04 Dec 20:35", "Fri 04 Dec 20:45"),
        ("log_off", "Fri 04 Dec 22:00", "Fri 04 Dec 22:30"),
        ("daily_restart", "Sat 05 Dec 20:35", "Sat 05 Dec 20:45"),
        ("weekly_login", "Sun 06 Dec 07:05", "Sun 06 Dec 07:35"),
    ]


def test_ibc_is_found_where_it_usually_is(home: Path) -> None:
    (home / "ibc").mkdir()
    (home / "ibc" / "config.ini").write_text("AutoRestartTime=03:10 AM")

    assert local(CalendarSettings().calendar().window(at("2026-12-01 02:30")))[1] == "Tue 01 Dec 03:10"


def test_a_file_that_is_named_and_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ibc_config: .*nowhere.ini cannot be read \(No such file or directory\)"):
        CalendarSettings(ibc_config=tmp_path / "nowhere.ini").calendar()


def test_a_file_without_an_end_is_not_read_into_memory() -> None:
    with pytest.raises(ConfigError, match="longer than 1,048,576 bytes"):
        read_ibc(Path("/dev/zero"))


def test_nothing_of_the_login_is_kept() -> None:
    assert "demouser" not in repr(parse_ibc(IBC))


def times_or_refusal(text: str) -> IbcTimes | str:
    try:
        return parse_ibc(text)
    except ConfigError as error:
        return str(error)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    assert isinstance(times_or_refusal(text), IbcTimes | str)


@given(
    st.dictionaries(
        st.sampled_from(["AutoRestartTime", "AutoLogoffTime", "ColdRestartTime", "ClosedownAt", "IbPassword"]),
        st.text(st.characters(codec="latin-1"), max_size=30),
    )
)
def test_any_value_of_a_known_key_is_read_or_refused(values: dict[str, str]) -> None:
    read = times_or_refusal("\n".join(f"{key}={value}" for key, value in values.items()))

    assert isinstance(read, IbcTimes) or "of IBC's config.ini is" in read


@given(st.times())
def test_every_time_of_ibc_is_read_back(time: dt.time) -> None:
    time = time.replace(second=0, microsecond=0)
    read = parse_ibc(f"AutoRestartTime={time:%I:%M %p}\nColdRestartTime={time:%H:%M}\nClosedownAt=Sunday {time:%H:%M}")

    assert (read.auto_restart, read.cold_restart, read.closedown, read.closedown_weekday) == (time, time, time, 6)
