"""What is declared, pinned and shipped agrees, and `import ibdesk` stays small."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PYTHONS = ("3.11.9", "3.12.9", "3.13.9", "3.14.0")

# Where conda-forge calls a package by another name.
CONDA_NAMES = {
    "msgpack": "msgpack-python",
    "playwright": "playwright-python",
    "redis": "redis-py",
    "tzdata": "python-tzdata",
}
HEAVY = {
    "IPython",
    "bokeh",
    "exchange_calendars",
    "fastapi",
    "ib_async",
    "jupyter_client",
    "panel",
    "redis",
    "starlette",
    "uvicorn",
}


def project() -> dict[str, Any]:
    declared: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return declared


def declared_requirements() -> list[Requirement]:
    declared = project()
    # The extra `all` is made of the others.
    extras = [lines for name, lines in declared["optional-dependencies"].items() if name != "all"]
    lines = [*declared["dependencies"], *(line for extra in extras for line in extra)]
    return [Requirement(line) for line in lines]


def pins() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def conda_environment() -> dict[str, Any]:
    environment: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    return environment


def pip_lines() -> list[str]:
    """What conda's environment leaves to pip."""
    return [line for part in conda_environment()["dependencies"] if isinstance(part, dict) for line in part["pip"]]


def conda_requirements() -> dict[str, SpecifierSet]:
    """Lower bounds by package name, `python` and `pip` among them."""
    lines = [line for line in conda_environment()["dependencies"] if isinstance(line, str)]
    requirements = [Requirement(line) for line in (*lines, *pip_lines()) if not line.startswith("--")]
    return {canonicalize_name(requirement.name): requirement.specifier for requirement in requirements}


def test_conda_asks_for_the_same_packages_as_pip() -> None:
    declared = {
        canonicalize_name(CONDA_NAMES.get(requirement.name, requirement.name)): requirement.specifier
        for requirement in declared_requirements()
    }
    python = SpecifierSet(project()["requires-python"])

    assert conda_requirements() == declared | {"python": python, "pip": SpecifierSet()}


def test_conda_installs_this_checkout() -> None:
    assert "--editable ." in pip_lines()


def test_a_package_named_twice_has_one_lower_bound() -> None:
    bounds: dict[str, set[str]] = {}
    for requirement in declared_requirements():
        bounds.setdefault(requirement.name, set()).add(str(requirement.specifier))

    assert {name: found for name, found in bounds.items() if len(found) > 1} == {}


def test_a_constraint_is_a_name_and_one_exact_version() -> None:
    for pin in pins():
        assert re.fullmatch(r"==[0-9][0-9a-z.]*", str(pin.specifier)), f"{pin} is not an exact version"


def test_the_constraints_hold_no_address_and_no_hash() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")

    assert not re.search(r"://|@|--|sha256", text)


@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_is_pinned_once_within_its_bound(python: str) -> None:
    machine = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    pinned: dict[str, list[Requirement]] = {}
    for pin in pins():
        if pin.marker is None or pin.marker.evaluate(machine):
            pinned.setdefault(canonicalize_name(pin.name), []).append(pin)

    for requirement in declared_requirements():
        if requirement.marker is not None and not requirement.marker.evaluate(machine):
            continue
        found = pinned.get(canonicalize_name(requirement.name), [])
        assert len(found) == 1, f"{requirement.name} has {len(found)} pins on Python {python}"
        version = str(found[0].specifier).removeprefix("==")
        assert requirement.specifier.contains(version, prereleases=True)


def test_importing_ibdesk_brings_no_web_server_no_dashboard_and_no_notebook() -> None:
    program = "import ibdesk, sys; print(*{name.partition('.')[0] for name in sys.modules})"

    fresh = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert HEAVY & set(fresh.stdout.split()) == set()


def test_the_extra_all_is_what_a_trader_needs() -> None:
    extras = project()["optional-dependencies"]

    assert extras["all"] == [f"ibdesk[{','.join(name for name in extras if name not in ('all', 'docs', 'dev'))}]"]


@pytest.mark.process
def test_the_wheel_alone_has_a_strategy_to_run(tmp_path: Path) -> None:
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        pytest.skip("needs uv, which `make setup` installs")
    subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "site")

    listed = subprocess.run(
        [sys.executable, "-m", "ibdesk.cli", "strategies"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "EmaCross" in listed.stdout
    assert "site/ibdesk/examples" in re.sub(r"\s", "", listed.stdout)


@pytest.mark.parametrize("folder", ["platform", "server"])
def test_the_folders_that_hold_packages_are_no_packages(folder: str) -> None:
    # A package named `platform` would stand in front of Python's own module of that name.
    assert [path.name for path in (ROOT / folder).glob("*.py")] == []


def test_pythons_own_platform_module_is_found_from_the_checkout() -> None:
    program = "import platform; print(platform.system())"

    fresh = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert fresh.stdout.strip()


def test_both_packages_tell_type_checkers_that_they_are_typed() -> None:
    assert (ROOT / "platform/ibdesk/py.typed").exists()
    assert (ROOT / "server/ibdesk_server/py.typed").exists()


def test_setup_refuses_an_unfit_python_in_one_sentence() -> None:
    refused = subprocess.run(
        [ROOT / ".ci/setup", "packages", "/bin/false"], capture_output=True, text=True, check=False
    )

    assert refused.returncode == 1
    assert refused.stderr.startswith("setup: PYTHON=/bin/false is not a Python 3.11, 3.12, 3.13 or 3.14: name another")
    assert refused.stderr.count("\n") == 1
