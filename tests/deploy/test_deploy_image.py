"""The image, as far as it can be told without building it: linted, small in rights, and true to the project."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.dockerfile import ROOT, Dockerfile

pytestmark = pytest.mark.timeout(300)
HADOLINT = Path(sys.executable).parent / "hadolint"


@pytest.fixture(scope="module")
def image() -> Dockerfile:
    return Dockerfile()


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    declared: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return declared


def test_the_linter_finds_nothing() -> None:
    linted = subprocess.run(
        [HADOLINT, "--failure-threshold", "style", ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )

    assert (linted.returncode, linted.stdout) == (0, "")


def test_it_stands_on_a_supported_python_and_its_stages_on_the_same(image: Dockerfile, project: Any) -> None:
    bases = {line.split()[0] for line in image.all("FROM")}

    assert bases == {"python:3.13-slim"}
    assert "Programming Language :: Python :: 3.13" in project["classifiers"]


def test_it_runs_as_nobody_in_particular(image: Dockerfile) -> None:
    user, group = map(int, image.last("USER").split(":"))

    assert user >= 10_000
    assert f"--uid {user} " in image.last("RUN")
    assert f"--gid {group} " in image.last("RUN")


def test_everything_it_writes_is_in_the_volume_or_in_tmp(image: Dockerfile) -> None:
    assert f"{image.environment['XDG_STATE_HOME']}/ibdesk" == image.last("VOLUME")
    assert image.environment["HOME"] == "/tmp"
    assert image.environment["PYTHONDONTWRITEBYTECODE"] == "1"


def test_it_needs_no_program_that_the_base_lacks(image: Dockerfile) -> None:
    assert image.health_check[:3] == ["python", "-m", "ibdesk_server.probe"]
    assert not re.search(r"\b(curl|wget|apt-get)\b", " ".join(map(" ".join, image.instructions)))


def test_its_version_is_the_projects(image: Dockerfile, project: Any) -> None:
    assert image.labels["org.opencontainers.image.version"] == project["version"]
    assert image.labels["org.opencontainers.image.licenses"] == project["license"]


def test_it_installs_what_was_tested_together(image: Dockerfile) -> None:
    installs = [line for line in image.all("RUN") if "pip install" in line]

    assert "--constraint constraints.txt --requirement requirements.txt" in installs[0]
    assert "pip install --no-deps ." in installs[1]


def test_its_layer_of_dependencies_is_what_the_project_asks_for(image: Dockerfile, project: Any) -> None:
    [line] = [line for line in image.all("RUN") if "requirements.py" in line]
    _, script, *extras = line.partition(" > ")[0].split()

    printed = subprocess.run(
        [sys.executable, ROOT / "deploy" / script, *extras], cwd=ROOT, capture_output=True, text=True, check=True
    )

    optional = project["optional-dependencies"]
    wanted = {*project["dependencies"], *(line for extra in extras for line in optional[extra])}
    assert {"server", "dashboard"} <= set(extras)
    assert set(printed.stdout.split("\n")) - {""} == wanted


def test_only_what_it_copies_is_sent_to_the_builder(image: Dockerfile) -> None:
    copied = {word for line in image.all("COPY") if "--from" not in line for word in line.split()[:-1]}
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    kept = {pattern[1:] for pattern in patterns if pattern.startswith("!")}

    assert patterns[0] == "*"
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)
    for secret in ("secrets/redis_url", ".env", "journal.sqlite", ".venv/bin/python", ".git/config", "api.key"):
        assert not any(fnmatch(secret, name) or secret.startswith(f"{name}/") for name in kept)
