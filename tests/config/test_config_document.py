"""The tree as a person reads it: what is in effect, and the example of its file."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest
from tests.config.conftest import Cli, Place

from ibdesk.cli import gateway_options, options
from ibdesk.config import as_plain, as_toml, example
from ibdesk.config.tree import DEFAULT
from ibdesk.desk import DeskSettings
from ibdesk_server.settings import Settings

SETTING = re.compile(r"^#(?=[a-z_]+ = )", re.MULTILINE)


def test_the_example_loads_and_equals_the_defaults(place: Place, cli: Cli) -> None:
    code, printed, _ = cli("config", "example")
    place.write(printed)
    assert (code, dict(Settings.load())) == (0, dict(Settings()))

    place.write(SETTING.sub("", printed))
    settings = Settings.load()

    assert dict(settings) == dict(Settings())
    origins = {settings.origin(setting.name) for setting in Settings.catalog().settings.values()}
    assert origins == {str(place.file)}


def test_the_example_explains_every_setting(place: Place) -> None:
    lines = example(Settings).splitlines()

    for setting in Settings.catalog().settings.values():
        assert setting.field.description, setting.name
    for number, text in enumerate(lines):
        if SETTING.match(text):
            assert lines[number - 1].startswith("# "), text
    assert max(map(len, lines)) <= 160


def test_every_setting_has_a_default_that_passes_its_own_rules(place: Place) -> None:
    place.write(as_toml(Settings()))

    assert dict(Settings.load()) == dict(Settings())


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("tws.port", "at least 1, at most 65535"),
        ("server.feed.flush_seconds", "above 0, at most 1"),
        ("mode", "one of embedded, paper, live"),
        ("tws.account", ""),
    ],
)
def test_bounds_are_told_in_words(name: str, bounds: str) -> None:
    assert Settings.catalog().settings[tuple(name.split("."))].bounds == bounds


def test_what_is_shown_says_the_same_when_it_is_read(place: Place, cli: Cli) -> None:
    place.write(
        'state_folder = "a \\"quoted\\" folder\\u007f\\u20ac"\n[risk]\nmax_position_shares = inf\n'
        '[gateway]\nsymbols = ["A", "B"]\n[log.loggers]\n"a.b" = "debug"\n'
    )
    settings = Settings.load()

    code, printed, _ = cli("config", "show")
    place.write(printed)

    assert code == 0
    assert dict(Settings.load()) == dict(settings)


def test_origins_stand_beside_the_values(place: Place, cli: Cli) -> None:
    place.write("[tws]\nport = 4002\n")
    place.set(TWS__HOST="tws", RISK__MAX_POSITION_SHARES=5)

    code, printed, _ = cli("config", "show", "--origin")

    assert code == 0
    told = dict(re.findall(r"^(\S+) = .*?  # (.+)$", printed, re.MULTILINE))
    assert told["max_position_shares"] == "IBDESK_RISK__MAX_POSITION_SHARES"
    assert re.search(rf"^port = 4002 +# {re.escape(str(place.file))}$", printed, re.MULTILINE)
    assert re.search(r'^host = "tws" +# IBDESK_TWS__HOST$', printed, re.MULTILINE)
    assert told["client_id"] == DEFAULT
    assert tomllib.loads(printed)["tws"]["port"] == 4002


def test_settings_are_shown_as_json(place: Place, cli: Cli) -> None:
    place.set(RISK__MAX_POSITION_SHARES="inf", REDIS__URL="redis://:hush@here", GATEWAY__SYMBOLS="A,B")

    _, plain, _ = cli("config", "show", "--json")
    _, with_origins, _ = cli("config", "show", "--json", "--origin")

    shown = json.loads(plain)
    assert shown == as_plain(Settings.load())
    assert (shown["risk"]["max_position_shares"], shown["redis"]["url"]) == ("inf", "********")
    assert (shown["gateway"]["symbols"], shown["gateway"]["replay"]) == (["A", "B"], None)
    assert json.loads(with_origins)["risk"]["max_position_shares"] == {
        "value": "inf",
        "origin": "IBDESK_RISK__MAX_POSITION_SHARES",
    }


def test_a_section_or_a_setting_is_shown_alone(place: Place, cli: Cli) -> None:
    place.set(SERVER__FEED__FLUSH_SECONDS=0.1)

    assert cli("config", "show", "dashboard.port")[1] == "[dashboard]\nport = 5006\n"
    shown = cli("config", "show", "server.feed", "--json", "--origin")[1]
    assert json.loads(shown)["server"]["feed"]["flush_seconds"] == {
        "value": 0.1,
        "origin": "IBDESK_SERVER__FEED__FLUSH_SECONDS",
    }
    assert list(json.loads(cli("config", "show", "tws", "--json")[1])) == ["tws"]
    code, out, err = cli("config", "show", "server.fed")
    assert (code, out, err) == (2, "", "ibdesk: there is no setting server.fed: did you mean server.feed?\n")


def test_a_part_of_the_tree_is_shown_alone() -> None:
    shown = as_plain(DeskSettings())

    assert "server" not in shown
    assert shown["tws"]["port"] == 7497


def test_config_names_the_file_for_every_command(place: Place, cli: Cli) -> None:
    other = place.write("[tws]\nport = 5\n", "other.toml")

    _, printed, _ = cli("--config", other, "config", "show")

    assert tomllib.loads(printed)["tws"]["port"] == 5
    code, out, err = cli("--config", "missing.toml", "config", "show")
    assert (code, out) == (2, "")
    assert re.fullmatch(r"ibdesk: there is no settings file .*missing\.toml \(--config\)\n", err)


def test_check_says_ok_and_what_is_hardly_meant(place: Place, cli: Cli) -> None:
    assert cli("config", "check")[:2] == (0, "ok\n")

    place.set(TWS_PORT=4002, SERVER_FEED_FLUSH_SECONDS=1, REDIS_URL_FILE="x", PROOF_SEEDS=3, TWS__HOST="tws")
    code, out, _ = cli("config", "check")

    assert code == 0
    assert out.splitlines() == [
        "ok",
        "warning IBDESK_REDIS_URL_FILE is not read: the variable of redis.url is IBDESK_REDIS__URL_FILE, with two "
        "underscores",
        "warning IBDESK_SERVER_FEED_FLUSH_SECONDS is not read: the variable of server.feed.flush_seconds is "
        "IBDESK_SERVER__FEED__FLUSH_SECONDS, with two underscores",
        "warning IBDESK_TWS_PORT is not read: the variable of tws.port is IBDESK_TWS__PORT, with two underscores",
    ]


def test_config_alone_shows_its_commands(cli: Cli) -> None:
    code, out, err = cli("config")

    assert (code, err) == (0, "")
    assert all(f" {command} " in out for command in ("show", "check", "example"))


def _told_defaults(module: Any) -> dict[str, str]:
    """The defaults of settings that the help of options tells: `server.port: 8000`."""
    told = {}
    for annotated in vars(module).values():
        for option in getattr(annotated, "__metadata__", ()):
            shown = getattr(option, "show_default", None)
            if isinstance(shown, str) and (found := re.fullmatch(r"((?:\w+\.)?\w+): (\S+)", shown)):
                told[found[1]] = found[2]
    return told


def test_help_tells_the_defaults_of_the_settings() -> None:
    settings, told = as_plain(Settings()), _told_defaults(options)
    assert len(told) >= 7

    # The gateway as a command of its own has a port that is known and the pacing of TWS.
    settings["gateway"] |= {"port": 7497, "pacing": "yes"}
    for name, default in (told | _told_defaults(gateway_options)).items():
        value: Any = settings
        for part in name.split("."):
            value = value[part]
        shown = f"{value:g}" if isinstance(value, float) and value < 1e6 else f"{value:,.0f}" if value == 1e6 else value
        assert str(shown) == default, name
