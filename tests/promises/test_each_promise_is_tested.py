"""Each promise of the design has a test file here, and a row in docs/safety.md that names tests which exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent
SAFETY = ROOT / "docs" / "safety.md"
PROMISES = range(1, 13)


def names_of_tests(file: Path) -> set[str]:
    """Return the names of a file's test functions."""
    functions = (
        each for each in ast.parse(file.read_text()).body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return {each.name for each in functions if each.name.startswith("test_")}


def section(number: int) -> str:
    """Return what docs/safety.md says of a promise."""
    [found] = re.findall(rf"^### {number}\. .*?(?=^##|\Z)", SAFETY.read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.mark.parametrize("number", PROMISES)
def test_a_promise_has_a_file_whose_docstring_begins_with_it(number: int) -> None:
    files = sorted(FOLDER.glob(f"test_promise_{number:02}_*.py"))

    assert files
    for file in files:
        assert (ast.get_docstring(ast.parse(file.read_text())) or "").startswith(f"Promise {number}: "), file.name
        assert names_of_tests(file), file.name
        assert f"tests/promises/{file.name}" in section(number)


def test_no_file_is_of_a_promise_that_is_not_made() -> None:
    numbers = {int(file.name.split("_")[2]) for file in FOLDER.glob("test_promise_*.py")}

    assert numbers == set(PROMISES)


def test_each_test_that_the_safety_page_names_exists() -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", SAFETY.read_text()))

    assert len(named) >= len(PROMISES)
    for file, test in named:
        assert (ROOT / file).is_file(), file
        assert not test or test in names_of_tests(ROOT / file), f"{file}::{test}"
