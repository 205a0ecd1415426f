"""What the deployment files name exists: each variable is a setting, each path a route, each command the program's."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from tests.deploy.dockerfile import ROOT, Dockerfile
from tests.deploy.manifests import COMPOSE, KUBERNETES, SYSTEMD, Deployed, deployed, units

from ibdesk.desk import AttachedDesk
from ibdesk_server.app import create_app
from ibdesk_server.settings import ServerSettings, Settings

pytestmark = pytest.mark.timeout(300)
OWN = [one for one in deployed() if one.command[0] == "ibdesk"]
MAKES_NO_DIFFERENCE = {"IBDESK_CONFIG"}


def identified(found: list[Deployed]) -> list[object]:
    return [pytest.param(one, id=f"{one.where}-{one.name}".replace(" ", "-")) for one in found]


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.startswith("IBDESK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("IBDESK_CONFIG", "")
    return monkeypatch


@pytest.mark.parametrize("one", identified(OWN))
def test_every_variable_is_a_setting_that_takes_its_value(
    one: Deployed, clean_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clean_environment.setenv("XDG_STATE_HOME", str(tmp_path))
    given = {name: text for name, text in one.environment.items() if name.startswith("IBDESK_")}
    for name, text in given.items():
        if name in MAKES_NO_DIFFERENCE:
            continue
        if name.endswith("_FILE") and text.startswith("/run/secrets/"):
            secret = tmp_path / Path(text).name
            secret.write_text("redis://ibdesk:secret@redis:6379/0\n" if "redis" in text else "k" * 43)
            secret.chmod(0o600)
            clean_environment.setenv(name, str(secret))
        else:
            clean_environment.setenv(name, text)

    settings = Settings.load()

    assert settings.mode == given.get("IBDESK_MODE", "embedded")
    if "IBDESK_REDIS__URL_FILE" in given:
        assert settings.redis.address == "redis:6379"
    if "IBDESK_DASHBOARD__KEY_FILE" in given:
        assert settings.dashboard.key is not None


def test_the_sample_of_settings_is_of_a_paper_desk(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("IBDESK_CONFIG", str(SYSTEMD / "ibdesk.toml"))

    settings = Settings.load()

    assert (settings.mode, settings.tws.account) == ("paper", "")
    assert (settings.server.host, settings.dashboard.host) == ("127.0.0.1", "127.0.0.1")


def test_the_ports_are_the_settings_defaults() -> None:
    settings = Settings()
    exposed = set(map(int, Dockerfile().last("EXPOSE").split()))

    assert exposed == {settings.server.port, settings.dashboard.port, settings.tws.port}
    for one in OWN:
        ports = {"web": {settings.server.port}, "dashboard": {settings.dashboard.port}, "gateway": {settings.tws.port}}
        assert set(one.ports) <= ports.get(one.name, set()), one


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The paths at which the API answers."""
    folder = tmp_path_factory.mktemp("routes")
    desk = AttachedDesk.open(f"unix:{folder / 'nobody.sock'}", timeout_seconds=0)
    app = create_app(desk, Settings(state_folder=folder, server=ServerSettings(key_file=folder / "api.key")))
    desk.close()
    return set(app.openapi()["paths"])


def test_every_path_that_is_probed_is_a_route(paths: set[str]) -> None:
    probed = {check.path for one in OWN for check in one.checks if check.path}
    probed |= {
        urlsplit(word).path
        for one in OWN
        for check in one.checks
        for word in check.command
        if word.startswith("http://")
    }

    assert probed == {"/health/live", "/health/ready"}
    assert probed <= paths


def test_the_image_and_all_files_name_one_version() -> None:
    version = Dockerfile().labels["org.opencontainers.image.version"]
    compose = yaml.safe_load(COMPOSE.read_text())["x-process"]["image"]
    [kustomized] = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["images"]

    assert compose == f"ibdesk:{version}"
    assert kustomized == {"name": "ibdesk", "newTag": version}


def test_units_name_programs_that_the_manual_installs() -> None:
    manual = (ROOT / "deploy" / "README.md").read_text()

    for name, unit in units().items():
        assert unit["Service"]["ExecStart"].startswith("/opt/ibdesk/bin/ibdesk "), name
        assert unit["Service"]["WorkingDirectory"] == "/opt/ibdesk", name
    assert "/opt/ibdesk" in manual
