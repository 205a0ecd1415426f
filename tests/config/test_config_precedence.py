"""Which source wins: the file, the environment, or what is given; and that a tree tells which it was."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from tests.config.conftest import Place

from ibdesk.config import Given
from ibdesk.config.tree import DEFAULT, PROGRAM
from ibdesk.desk import Desk, DeskSettings
from ibdesk.engine import RiskLimits
from ibdesk.errors import ConfigError
from ibdesk_server.settings import Settings

SOURCES = ("file", "environment", "given")

# Settings of every kind, each with a different value for each source.
VALUES: dict[str, tuple[Any, Any, Any]] = {
    "mode": ("paper", "embedded", "paper"),
    "state_folder": ("/a", "/b", "/c"),
    "tws.port": (4001, 4002, 4003),
    "tws.account": ("DU1", "DU2", "DU3"),
    "tws.regular_hours_only": (False, True, False),
    "gateway.symbols": (["A"], ["B", "C"], []),
    "gateway.replay": ("/a.csv", "/b.csv", "/c.csv"),
    "risk.max_position_shares": (1.5, 2.5, 3.5),
    "redis.url": ("redis://a", "redis://b", "redis://c"),
    "log.level": ("debug", "error", "warning"),
    "server.feed.flush_seconds": (0.1, 0.2, 0.3),
    "dashboard.port": (1, 2, 3),
}


def value_of(settings: Any, name: str) -> Any:
    """The value as the table above writes it."""
    for part in name.split("."):
        settings = getattr(settings, part)
    match settings:
        case SecretStr():
            return settings.get_secret_value()
        case Path():
            return str(settings)
        case tuple():
            return list(settings)
        case _:
            return settings


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def variable(name: str) -> str:
    return f"IBDESK_{name.upper().replace('.', '__')}"


def load(place: Place, said: dict[str, dict[str, Any]], by_file: frozenset[tuple[str, str]] = frozenset()) -> Settings:
    """The tree that the sources make together; `by_file` are those of their values that stand in files of their own."""
    lines, variables = [], {}
    for name, value in said["file"].items():
        if ("file", name) in by_file:
            lines.append(f'{name}_file = "{place.write(text_of(value), f"file.{name}")}"\n')
        else:
            lines.append(f"{name} = {json.dumps(value)}\n")
    for name, value in said["environment"].items():
        if ("environment", name) in by_file:
            variables[f"{variable(name)}_FILE"] = str(place.write(text_of(value), f"environment.{name}"))
        else:
            variables[variable(name)] = text_of(value)
    place.write("".join(lines))
    with mock.patch.dict(os.environ, variables):
        return Settings.load(*(Given(name, value, f"--{name}") for name, value in said["given"].items()))


@pytest.mark.parametrize(("low", "high"), list(itertools.combinations(SOURCES, 2)))
@pytest.mark.parametrize("name", VALUES)
def test_the_higher_source_wins(place: Place, name: str, low: str, high: str) -> None:
    values = dict(zip(SOURCES, VALUES[name], strict=True))
    said = {source: {name: values[source]} if source in {low, high} else {} for source in SOURCES}

    settings = load(place, said)

    assert value_of(settings, name) == values[high]


_PLACES = [(source, name) for name in VALUES for source in SOURCES]


@given(st.frozensets(st.sampled_from(_PLACES)), st.frozensets(st.sampled_from(_PLACES)))
def test_of_any_sources_the_highest_wins_and_is_named(
    tmp_path_factory: pytest.TempPathFactory,
    chosen: frozenset[tuple[str, str]],
    by_file: frozenset[tuple[str, str]],
) -> None:
    said: dict[str, dict[str, Any]] = {source: {} for source in SOURCES}
    for source, name in chosen:
        said[source][name] = VALUES[name][SOURCES.index(source)]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("IBDESK_CONFIG", raising=False)
        patch.chdir(tmp_path_factory.mktemp("place"))
        place = Place(Path.cwd(), patch)

        settings, defaults = load(place, said, by_file), Settings()

        for name in VALUES:
            sources = [source for source in SOURCES if name in said[source]]
            if not sources:
                assert value_of(settings, name) == value_of(defaults, name)
                assert settings.origin(name) == DEFAULT
                continue
            origins = {"file": str(place.file), "environment": variable(name), "given": f"--{name}"}
            if (sources[-1], name) in by_file and sources[-1] != "given":
                in_file = f", {place.folder / f'{sources[-1]}.{name}'}"
                origins = {"file": f"{place.file}{in_file}", "environment": f"{variable(name)}_FILE{in_file}"}
            assert value_of(settings, name) == said[sources[-1]][name]
            assert settings.origin(name) == origins[sources[-1]]


def test_sections_are_mixed_setting_by_setting(place: Place) -> None:
    place.write('[tws]\nhost = "tws"\nport = 4001\nclient_id = 3\n')
    place.set(TWS__PORT=4002, TWS='{"client_id": 4}')

    tws = DeskSettings.load(Given("tws.client_id", 5, "--client-id")).tws

    assert (tws.host, tws.port, tws.client_id) == ("tws", 4002, 5)


def test_a_section_given_whole_is_taken_whole(place: Place) -> None:
    place.set(RISK__MAX_POSITION_SHARES=7, RISK__PRICE_COLLAR=0.5)

    settings = DeskSettings.make(risk=RiskLimits(max_position_shares=9))

    assert settings.risk == RiskLimits(max_position_shares=9)
    assert settings.origin("risk.price_collar") == "the argument risk"


def test_a_list_may_be_written_with_commas_or_as_json(place: Place) -> None:
    place.set(GATEWAY__SYMBOLS="AAPL, MSFT,", GATEWAY__ACCOUNTS='["DU1", "DU2"]')

    gateway = DeskSettings.load().gateway

    assert gateway.symbols == ("AAPL", "MSFT")
    assert gateway.accounts == ("DU1", "DU2")


def test_an_empty_variable_is_none_where_there_may_be_none_and_empty_text_elsewhere(place: Place) -> None:
    place.write('[redis]\nurl = "redis://a"\n[tws]\naccount = "DU1"\n')
    place.set(REDIS__URL="", TWS__ACCOUNT="")

    settings = DeskSettings.load()

    assert settings.redis.url is None
    assert settings.tws.account == ""


def test_the_file_is_the_one_that_is_named(place: Place, tmp_path: Path) -> None:
    place.write("[tws]\nport = 1\n")
    other, third = (place.write(f"[tws]\nport = {port}\n", f"other/{port}.toml") for port in (2, 3))
    assert DeskSettings.load().tws.port == 1

    place.set(CONFIG=other)
    assert DeskSettings.load().tws.port == 2
    assert DeskSettings.load(config=third).tws.port == 3

    place.set(CONFIG="")
    assert DeskSettings.load().tws.port == 7497
    assert DeskSettings.load().file is None


def test_no_file_at_the_usual_place_is_no_fault_and_a_named_one_that_is_missing_is(place: Place) -> None:
    assert DeskSettings.load().tws.port == 7497

    with pytest.raises(ConfigError, match=r"no settings file .*missing\.toml \(--config\)"):
        DeskSettings.load(config=Path("missing.toml"))
    place.set(CONFIG="missing.toml")
    with pytest.raises(ConfigError, match=r"no settings file .*missing\.toml \(IBDESK_CONFIG\)"):
        DeskSettings.load()


def test_relative_paths_in_a_file_lead_from_its_folder(place: Place, tmp_path: Path) -> None:
    path = place.write('state_folder = "state"\n[gateway]\nreplay = "~/bars.csv"\n', "etc/ibdesk.toml")

    settings = Settings.load(config=path)

    assert settings.state_folder == tmp_path / "etc" / "state"
    assert settings.gateway.replay == tmp_path / "home" / "bars.csv"
    assert settings.server.strategies == Path("strategies")


def test_keys_are_kept_in_the_state_folder_unless_they_are_told_elsewhere(place: Place) -> None:
    place.set(STATE_FOLDER="/var/lib/ibdesk")
    assert Settings.load().server.key_file == Path("/var/lib/ibdesk/api.key")
    assert Settings.load(Given("server.port", 1, "--port")).server.key_file == Path("/var/lib/ibdesk/api.key")

    place.set(SERVER__KEY_FILE="/keys/api.key")
    assert Settings.load().server.key_file == Path("/keys/api.key")


def test_a_desk_reads_past_the_sections_of_the_server(place: Place) -> None:
    place.write("[server]\nport = 1\n[server.feed]\nno_such = 1\n[dashboard]\nport = 2\n[tws]\nport = 3\n")
    place.set(SERVER__PORT="none")

    assert DeskSettings.load().tws.port == 3


def test_a_value_that_a_program_sets_is_told_as_its(place: Place) -> None:
    place.set(RISK__MAX_POSITION_SHARES=5)
    settings = Settings.load()

    changed = settings.with_value("risk.max_position_shares", 6).with_value("server.port", 0)

    assert (changed.risk.max_position_shares, changed.server.port) == (6, 0)
    assert (settings.risk.max_position_shares, settings.server.port) == (5, 8000)
    assert changed.origin("risk.max_position_shares") == changed.origin("server.port") == PROGRAM
    assert settings.origin("risk.max_position_shares") == "IBDESK_RISK__MAX_POSITION_SHARES"


def test_settings_made_directly_read_nothing(place: Place) -> None:
    place.write("[tws]\nport = 1\n")
    place.set(TWS__CLIENT_ID=2)

    assert (DeskSettings().tws.port, DeskSettings().tws.client_id) == (7497, 1)


def test_a_desk_opened_by_a_program_reads_the_file_and_arguments_go_before_it(place: Place) -> None:
    place.write("[gateway]\nspeed = 7.0\nseed = 5\n[risk]\nmax_position_shares = 11\nmax_notional = 12\n")

    with Desk.open(risk={"max_position_shares": 13}, state_folder=place.folder / "state") as desk:
        assert (desk.settings.mode, desk.settings.gateway.speed, desk.settings.gateway.seed) == ("embedded", 7, 5)
        assert (desk.settings.risk.max_position_shares, desk.settings.risk.max_notional) == (13, 12)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            'mode = "live"\n',
            r"mode is live, which trades real money: .* tws\.account \(--account\) \(mode from .*toml\)",
        ),
        ('[tws]\naccount = "U1"\n', None),
        ('mode = "paper"\n[tws]\naccount = "U1"\n', r"account U1 is not a paper account"),
        ('[tws]\nmode = "live"\naccount = "U1"\n', r"there is no setting tws\.mode .*: did you mean mode\?"),
    ],
)
def test_live_money_needs_the_mode_and_the_account_spelled_out(place: Place, said: str, words: str | None) -> None:
    place.write(said)

    if words is None:
        assert DeskSettings.load().tws.mode == "paper"
    else:
        with pytest.raises(ConfigError, match=words):
            DeskSettings.load()


def test_live_money_may_be_spelled_out_in_several_sources(place: Place) -> None:
    place.write('[tws]\naccount = "U1"\n')
    place.set(MODE="live")

    tws = DeskSettings.load().tws

    assert (tws.mode, tws.account) == ("live", "U1")
