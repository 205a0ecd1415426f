"""The live pane in a real JupyterLab, in a real browser that has no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import nbformat
import pytest
from playwright.async_api import async_playwright, expect
from tests.ports import free_port

pytestmark = pytest.mark.timeout(180)

CHROMIUM = "/usr/bin/chromium"
OPEN = """
from ibdesk import Desk
from ibdesk.notebook import live
desk = Desk.open("embedded")
run = desk.start({strategy!r}, on=["AAPL", "MSFT"], bar="5 secs")
"""
EMA_CROSS = Path(__file__).parents[2] / "strategies" / "ema_cross.py"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """Start JupyterLab on a folder with one notebook and return the notebook's address."""
    cells = [OPEN.format(strategy=str(EMA_CROSS)), "live(desk)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    work = tmp_path / "work"
    work.mkdir()
    nbformat.write(notebook, work / "live.ipynb")
    port = free_port()
    folders = {
        name: str(tmp_path / name.lower()) for name in ("XDG_STATE_HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")
    }
    options = ("--ServerApp.token=", "--ServerApp.password=", f"--ServerApp.root_dir={work}", "--LabApp.news_url=None")
    process = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", *options],
        env={**os.environ, **folders, "IPYTHONDIR": str(tmp_path / "ipython")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/api", process)
        yield f"http://127.0.0.1:{port}/lab/tree/live.ipynb"
    finally:
        process.terminate()
        process.wait(30)


async def test_the_pane_is_live_and_asks_no_other_host(lab: str) -> None:
    if shutil.which(CHROMIUM) is None:
        pytest.skip(f"there is no {CHROMIUM}: apt-get install chromium")
    hosts: set[str] = set()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        page = await browser.new_page(viewport={"width": 1500, "height": 1100})
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname or ""))
        await page.goto(lab)
        await page.locator(".jp-CodeCell .jp-InputArea-editor").first.click(timeout=60_000)
        await page.get_by_role("menuitem", name="Run", exact=True).click()
        await page.get_by_text("Run All Cells", exact=True).click()

        states = page.locator(".states")
        await expect(states).to_contain_text("feed live", timeout=60_000)
        bars = page.locator(".line .muted").first
        await expect(bars).to_contain_text("bars of 5 s", timeout=30_000)
        before = await states.inner_text()
        await expect(states).not_to_have_text(before, timeout=30_000)
        # Nothing of the pane is out of reach: its last table can be scrolled to.
        await page.get_by_text("Messages", exact=True).click()
        await browser.close()

    assert hosts <= {"127.0.0.1", ""}


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + 90
    while time.monotonic() < ends and process.poll() is None:
        try:
            if httpx.get(address).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"JupyterLab does not answer at {address}")
