"""A secret is taken from a file, and seen nowhere."""

from __future__ import annotations

import logging
import pickle
import traceback
from pathlib import Path

import pytest
from pydantic import Field, Secret, SecretStr, field_validator
from tests.config.conftest import Cli, Place

from ibdesk.config import MASK, Given, SettingsTree, as_plain, as_toml, example
from ibdesk.config.secret_file import is_handed_over
from ibdesk.desk import DeskSettings
from ibdesk.errors import ConfigError
from ibdesk.telemetry import Logs
from ibdesk_server.settings import Settings

PASSWORD = "correct-horse-battery"
URL = f"redis://:{PASSWORD}@redis.example:6379/0"
WRONG_URL = f"http://:{PASSWORD}@redis.example"


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_setting_is_read_from_a_file_without_the_newline_at_its_end(place: Place, ending: str) -> None:
    path = place.folder / "url"
    path.write_bytes(f"{URL}{ending}".encode())
    path.chmod(0o600)
    place.set(REDIS__URL_FILE=path)

    settings = DeskSettings.load()

    assert settings.redis.url is not None
    assert settings.redis.url.get_secret_value() == URL
    assert settings.origin("redis.url") == f"IBDESK_REDIS__URL_FILE, {path}"


def test_a_settings_file_names_files_from_its_own_folder(place: Place) -> None:
    place.write(URL, "etc/secrets/url")
    file = place.write('[redis]\nurl_file = "secrets/url"\n', "etc/ibdesk.toml")

    settings = DeskSettings.load(config=file)

    assert settings.redis.url is not None
    assert settings.redis.url.get_secret_value() == URL


def test_any_setting_can_be_read_from_a_file(place: Place) -> None:
    place.write("paper", "mode", 0o644)
    place.write("4002\n", "port", 0o644)
    place.write("AAPL,MSFT\n", "symbols", 0o644)
    place.write('[gateway]\nsymbols_file = "symbols"\n')
    place.set(MODE_FILE="mode", TWS__PORT_FILE="port")

    settings = DeskSettings.load()

    assert (settings.mode, settings.tws.port, settings.gateway.symbols) == ("paper", 4002, ("AAPL", "MSFT"))


def test_a_setting_whose_name_ends_like_a_file_is_itself(place: Place) -> None:
    place.set(SERVER__KEY_FILE="/keys/api.key")

    assert Settings.load().server.key_file == Path("/keys/api.key")


def test_a_value_beside_its_file_is_refused(place: Place) -> None:
    path = place.write(URL, "url")
    place.set(REDIS__URL=URL, REDIS__URL_FILE=path)

    with pytest.raises(ConfigError, match=r"redis\.url is given twice, .*IBDESK_REDIS__URL.*IBDESK_REDIS__URL_FILE"):
        DeskSettings.load()


def test_a_file_in_the_environment_goes_before_a_value_in_the_settings_file(place: Place) -> None:
    place.write('[redis]\nurl = "redis://other"\n')
    place.set(REDIS__URL_FILE=place.write(URL, "url"))

    settings = DeskSettings.load()

    assert settings.redis.url is not None
    assert settings.redis.url.get_secret_value() == URL


@pytest.mark.parametrize(("mode", "is_refused"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)])
def test_a_secret_that_everybody_can_read_is_refused(place: Place, mode: int, is_refused: bool) -> None:
    path = place.write(URL, "url", mode)
    place.set(REDIS__URL_FILE=path)

    if is_refused:
        with pytest.raises(ConfigError, match=rf"redis\.url \(IBDESK_REDIS__URL_FILE\): {path} .* chmod 600 {path}"):
            DeskSettings.load()
    else:
        assert DeskSettings.load().redis.url is not None


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"x" * 70_000, "is too long for a value"),
    ],
)
def test_a_file_without_a_usable_value_is_named(place: Place, held: bytes | None, words: str) -> None:
    path = place.folder / "url"
    if held is not None:
        path.write_bytes(held)
        path.chmod(0o600)
    place.set(REDIS__URL_FILE=path)

    with pytest.raises(ConfigError, match=rf"redis\.url \(IBDESK_REDIS__URL_FILE\): {path} {words}"):
        DeskSettings.load()


def test_the_mask_is_no_secret(place: Place) -> None:
    place.set(REDIS__URL=MASK)

    with pytest.raises(ConfigError, match=r"redis\.url \(IBDESK_REDIS__URL\) is the mask"):
        DeskSettings.load()


@pytest.mark.parametrize("root", [DeskSettings, Settings])
def test_a_tree_shows_no_secret(place: Place, root: type[SettingsTree]) -> None:
    place.set(REDIS__URL=URL)
    tree = root.load()

    shown = [
        repr(tree),
        str(tree),
        f"{tree.model_dump()}",
        tree.model_dump_json(),
        as_toml(tree),
        as_toml(tree, origins=True),
        str(as_plain(tree)),
        str(as_plain(tree, origins=True)),
        example(root),
    ]

    assert [text for text in shown if PASSWORD in text] == []
    assert f'url = "{MASK}"' in shown[4]


def test_a_log_shows_no_secret(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    place.set(REDIS__URL=URL)
    settings = DeskSettings.load(Given("log.stderr_level", "info", "--log"))

    with Logs.set_up("test", settings.log, state_folder=place.folder):
        logging.getLogger("ibdesk.test").info("settings are %s", settings)

    written = "".join(path.read_text() for path in place.folder.rglob("*.log*")) + capfd.readouterr().err
    assert "settings are" in written
    assert PASSWORD not in written


@pytest.mark.parametrize("source", ["file", "environment", "secret file", "given"])
def test_no_sentence_and_no_traceback_shows_a_wrong_secret(place: Place, source: str) -> None:
    given: tuple[Given, ...] = ()
    if source == "file":
        place.write(f'[redis]\nurl = "{WRONG_URL}"\n')
    elif source == "environment":
        place.set(REDIS__URL=WRONG_URL)
    elif source == "secret file":
        place.set(REDIS__URL_FILE=place.write(WRONG_URL, "url"))
    else:
        given = (Given("redis.url", WRONG_URL, "--redis"),)

    with pytest.raises(ConfigError, match=r"redis\.url cannot be \*{8} \(.*\): a Redis url must begin with") as caught:
        DeskSettings.load(*given)

    told = "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in told
    assert PASSWORD not in str(caught.value.__context__)


class Vault(SettingsTree):
    """A tree whose author did not think of what a message tells."""

    code: SecretStr = Field(SecretStr("1234"), description="opens the vault")
    pin: Secret[int] = Field(Secret(1), description="opens it too")

    @field_validator("code")
    @classmethod
    def _is_long(cls, code: SecretStr) -> SecretStr:
        if len(code) < 4:
            raise ValueError(f"{code.get_secret_value()!r} is too short")
        return code


def test_a_rule_that_quotes_a_secret_is_not_quoted(place: Place) -> None:
    place.set(CODE="x7q")

    with pytest.raises(ConfigError, match=r"code cannot be \*{8} \(IBDESK_CODE\): '\*{8}' is too short") as caught:
        Vault.load()

    assert "x7q" not in "".join(traceback.format_exception(caught.value))


def test_secrets_of_any_kind_are_masked(place: Place) -> None:
    place.set(PIN=778899)

    tree = Vault.load()

    assert tree.pin.get_secret_value() == 778899
    assert as_plain(tree) == {"code": MASK, "pin": MASK}
    place.set(PIN="778899x")
    with pytest.raises(
        ConfigError, match=r"pin cannot be \*{8} \(IBDESK_PIN\): it should be a valid integer"
    ) as caught:
        Vault.load()
    assert "778899" not in str(caught.value)


def test_a_secret_of_a_wrong_type_is_not_shown(place: Place) -> None:
    place.write(f'[redis]\nurl = ["{PASSWORD}"]\n')

    with pytest.raises(ConfigError) as caught:
        DeskSettings.load()

    assert "redis.url" in str(caught.value)
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("command", [("config", "show"), ("config", "check"), ("--debug", "config", "show")])
@pytest.mark.parametrize("url", [URL, WRONG_URL])
def test_no_command_prints_a_secret(place: Place, cli: Cli, command: tuple[str, ...], url: str) -> None:
    place.set(REDIS__URL=url)

    code, out, err = cli(*command)

    assert code == (0 if url == URL else 2)
    assert PASSWORD not in out + err


def test_a_tree_survives_the_way_to_another_process(place: Place) -> None:
    place.set(REDIS__URL_FILE=place.write(URL, "url"), TWS__PORT=4002)
    settings = Settings.load()

    arrived: Settings = pickle.loads(pickle.dumps(settings))

    assert arrived == settings
    assert arrived.origin("tws.port") == "IBDESK_TWS__PORT"
    assert arrived.redis.url == settings.redis.url


def test_who_may_read_the_settings_file_is_doubted_when_a_secret_stands_in_it(place: Place, cli: Cli) -> None:
    place.write(f'[redis]\nurl = "{URL}"\n', mode=0o644)
    code, out, _ = cli("config", "check")
    assert (code, out.startswith("ok\n")) == (0, True)
    assert f"redis.url is in {place.file}" in out

    place.file.chmod(0o600)
    assert cli("config", "check")[1] == "ok\n"

    place.write(URL, "url")
    place.write('[redis]\nurl_file = "url"\n', mode=0o644)
    assert cli("config", "check")[1] == "ok\n"

    place.file.chmod(0o602)
    assert f"every user of this machine can change {place.file}" in cli("config", "check")[1]


def test_a_secret_that_a_container_engine_mounted_may_have_any_mode() -> None:
    assert is_handed_over(Path("/run/secrets/redis_url"))
    assert is_handed_over(Path("/run/secrets/ibdesk/redis_url"))
    assert not is_handed_over(Path("/etc/ibdesk/redis_url"))
