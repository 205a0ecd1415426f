"""The documentation builds without a warning, from what is installed, without the network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site, or a failure with Sphinx's own words."""
    folder = tmp_path_factory.mktemp("docs")
    # A proxy that nobody serves: whatever wants the network fails.
    unreachable = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", ROOT / "docs", folder],
        env={**os.environ, **unreachable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder


@pytest.mark.timeout(300)
def test_the_documentation_builds_without_a_warning(site: Path) -> None:
    assert (site / "index.html").exists()


@pytest.mark.timeout(300)
def test_each_page_is_reached_from_the_index(site: Path) -> None:
    index = (site / "index.html").read_text(encoding="utf-8")
    pages = [page.relative_to(ROOT / "docs").with_suffix("") for page in (ROOT / "docs").rglob("*.md")]

    assert [str(page) for page in pages if page.name != "index" and f'href="{page}.html"' not in index] == []


@pytest.mark.timeout(300)
def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for marker in ('src="http', 'rel="stylesheet" href="http', 'rel="preconnect"'):
            assert marker not in text, f"{page.relative_to(site)} fetches from elsewhere: {marker}"
