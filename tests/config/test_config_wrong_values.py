"""What cannot be used stops the start with one sentence, which names the setting and where its value is from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.config.conftest import Cli, Place

from ibdesk.config import Given
from ibdesk.desk import DeskSettings
from ibdesk.errors import ConfigError
from ibdesk_server.settings import Settings

# Each kind of wrong: the setting, its value as text, and what the sentence says of it.
WRONG = [
    ("tws.port", "70000", "it should be less than or equal to 65535"),
    ("tws.port", "http", "it should be a valid integer"),
    ("tws.regular_hours_only", "perhaps", "it should be a valid boolean"),
    ("tws.request_timeout_seconds", "0", "it should be greater than 0"),
    ("mode", "demo", "it should be 'embedded', 'paper' or 'live'"),
    ("risk.max_position_shares", "-1", r"it must be positive \(inf switches the rule off\)"),
    ("risk.max_daily_loss", "nan", r"it must be positive"),
    ("risk.day_zone", "Mars/Olympus", "'Mars/Olympus' is not a time zone"),
    ("gateway.account", "U1", "must begin with D"),
    ("log.level", "loud", "it should be 'debug', 'info'"),
    ("server.feed.flush_seconds", "2", "it should be less than or equal to 1"),
    ("dashboard.port", "-1", "it should be greater than or equal to 0"),
]


def wrong(*given: Given, config: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        Settings.load(*given, config=config)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("source", ["file", "environment", "given"])
@pytest.mark.parametrize(("name", "text", "words"), WRONG)
def test_a_wrong_value_is_told_with_its_setting_and_its_origin(
    place: Place, name: str, text: str, words: str, source: str
) -> None:
    given: tuple[Given, ...] = ()
    origin = f"--{name}"
    if source == "file":
        place.write(f'{name} = "{text}"\n')
        origin = str(place.file)
    elif source == "environment":
        origin = f"IBDESK_{name.upper().replace('.', '__')}"
        place.set(**{origin.removeprefix("IBDESK_"): text})
    else:
        given = (Given(name, text, origin),)

    sentence = wrong(*given)

    assert re.fullmatch(
        rf"this setting cannot be used: {re.escape(name)} cannot be '{text}' \({re.escape(origin)}\): .*{words}.*",
        sentence,
    )


def test_every_wrong_setting_is_told_at_once(place: Place) -> None:
    place.write("[tws]\nport = 0\ncolour = 1\n")
    place.set(RISK__PRICE_COLLAR="wide")

    sentence = wrong(Given("server.port", -1, "--port"))

    assert sentence.startswith("4 settings cannot be used: ")
    assert all(name in sentence for name in ("tws.port", "tws.colour", "risk.price_collar", "server.port"))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("[tws]\nprot = 1\n", r"there is no setting tws\.prot \(.*toml\): did you mean tws\.port\?"),
        ("[tsw]\nport = 1\n", r"there is no setting tsw \(.*toml\): did you mean tws\?"),
        ("stat_folder = 1\n", r"there is no setting stat_folder \(.*toml\): did you mean state_folder\?"),
        ("client_id = 1\n", r"there is no setting client_id \(.*toml\): did you mean tws\.client_id\?"),
        ("[server.fed]\nflush_seconds = 1\n", r"no setting server\.fed \(.*toml\): did you mean server\.feed\?"),
        (
            "[risk]\nwhatever_else = 1\n",
            r"no setting risk\.whatever_else \(.*toml\): risk has .*day_zone, .*max_daily_loss",
        ),
        ("[redis]\nul_file = 'x'\n", r"no setting redis\.ul_file \(.*toml\): did you mean redis\.url\?"),
        ("xyz = 1\n", r"there is no setting xyz \(.*toml\): there are .*dashboard, .*server"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(place: Place, said: str, words: str) -> None:
    place.write(said)

    assert re.search(words, wrong())


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("TWS__PROT", r"no setting tws\.prot \(IBDESK_TWS__PROT\): did you mean tws\.port\?"),
        ("TSW__PORT", r"no setting tsw \(IBDESK_TSW__PORT\): did you mean tws\?"),
        ("SERVER__FEED__FLUSH", r"no setting server\.feed\.flush \(IBDESK_SERVER__FEED__FLUSH\)"),
        ("MODE__OF", r"mode cannot be \{'of': '1'\} \(IBDESK_MODE__OF\)"),
    ],
)
def test_an_unknown_variable_is_refused(place: Place, variable: str, words: str) -> None:
    place.set(**{variable: 1})

    assert re.search(words, wrong())


def test_variables_that_are_no_settings_are_left_alone(place: Place) -> None:
    place.set(PROOF_SEEDS=3, TWS_HOST="tws", CLIENT="ib_async")

    assert Settings.load().tws.host == "127.0.0.1"


def test_a_section_is_no_value(place: Place) -> None:
    place.write("tws = 4002\n")
    assert re.search(r"tws \(.*toml\) is a section, not a single setting", wrong())

    place.write("")
    place.set(TWS="4002")
    assert "tws (IBDESK_TWS) is a section" in wrong()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("[tws\n", r"ibdesk\.toml is not valid TOML: .*line 1"),
        ("mode = paper\n", r"ibdesk\.toml is not valid TOML: Invalid value"),
        ("[tws]\nport = 1\nport = 2\n", r"ibdesk\.toml is not valid TOML: Cannot overwrite a value"),
    ],
)
def test_a_file_that_is_no_toml_is_named(place: Place, said: str, words: str) -> None:
    place.write(said)

    assert re.search(words, wrong())


def test_a_file_that_is_no_text_or_cannot_be_read_is_named(place: Place) -> None:
    place.file.write_bytes(b"\xff\xfe")
    assert re.search(r"ibdesk\.toml is not UTF-8 text", wrong())

    assert re.search(r"no settings file .* \(--config\)", wrong(config=place.folder))


def test_settings_that_contradict_each_other_are_told_with_both_origins(place: Place) -> None:
    place.write('mode = "paper"\n[tws]\nmessages_per_second = 10\n[gateway]\nreplay = "x.csv"\n')
    place.set(TWS__RESERVED_FOR_ORDERS=20)

    assert re.search(
        r"tws\.reserved_for_orders is 20: .* tws\.messages_per_second \(10\) "
        r"\(tws\.reserved_for_orders from IBDESK_TWS__RESERVED_FOR_ORDERS; tws\.messages_per_second from .*toml\)",
        wrong(),
    )

    place.unset("TWS__RESERVED_FOR_ORDERS")
    sentence = wrong(Given("gateway.script", "y.toml", "--script"))
    assert re.search(
        r"gateway\.replay and gateway\.script .* \(gateway\.replay from .*toml; gateway\.script from --script\)",
        sentence,
    )


@pytest.mark.parametrize("settings", [{"colour": "red"}, {"risk": {"max_position_share": 1}}, {"port": 0}, {"tws": 3}])
def test_a_wrong_argument_of_a_program_is_named(place: Place, settings: dict[str, Any]) -> None:
    name = next(iter(settings))

    with pytest.raises(ConfigError, match=rf"\(the argument {name}\)"):
        DeskSettings.make("paper", **settings)


@pytest.mark.parametrize(
    ("command", "wrong_setting"),
    [
        (("run", "strategies/ema_cross.py", "--on", "AAPL"), "gateway.speed"),
        (("up",), "server.port"),
        (("demo",), "risk.max_position_shares"),
        (("gateway",), "gateway.speed"),
        (("config", "show"), "dashboard.port"),
        (("config", "check"), "server.feed.max_clients"),
    ],
)
def test_no_command_starts_with_a_wrong_setting(
    place: Place, cli: Cli, command: tuple[str, ...], wrong_setting: str
) -> None:
    strategy = Path(__file__).parents[2] / "strategies" / "ema_cross.py"
    place.write(strategy.read_text(), "strategies/ema_cross.py")
    place.write(f"{wrong_setting} = -1\n")

    code, out, err = cli(*command)

    assert (code, out) == (2, "")
    assert err.startswith(f"ibdesk: this setting cannot be used: {wrong_setting} cannot be -1 (")
    assert err.count("\n") == 1
