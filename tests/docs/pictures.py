"""`make pictures`: pictures of the dashboard and of a report, from a run of `ibdesk demo` in a real Chromium."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Browser, async_playwright
from tests.docs.console import BIN
from tests.docs.pages import ROOT
from tests.ports import free_port

PICTURES = ROOT / "docs" / "pictures"
CHROMIUM = "/usr/bin/chromium"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--hide-scrollbars"]
# Enough days of the sample for a curve of profit and a page of orders.
SECONDS_OF_TRADING = 40


async def main() -> int:
    """Run the demo, take the pictures and end it."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        demo = await asyncio.create_subprocess_exec(
            BIN / "ibdesk",
            *("demo", "--speed", "40", "--for", "300"),
            cwd=ROOT,
            env={
                **os.environ,
                "IBDESK_STATE_FOLDER": folder,
                "IBDESK_SERVER__PORT": str(free_port()),
                "IBDESK_DASHBOARD__PORT": str(free_port()),
                "COLUMNS": "200",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=sys.stderr,
        )
        try:
            dashboard, report = await _addresses(demo)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
                await _take(browser, report, "report", wait=3, height=1_000)
                key = (Path(folder) / "api.key").read_text(encoding="utf-8").strip()
                await _take(browser, dashboard, "dashboard", wait=SECONDS_OF_TRADING, height=900, key=key)
                await browser.close()
        finally:
            if demo.returncode is None:
                demo.send_signal(signal.SIGINT)
            await demo.communicate()
    return 0


async def _addresses(demo: asyncio.subprocess.Process) -> tuple[str, str]:
    assert demo.stdout is not None
    dashboard = report = ""
    async with asyncio.timeout(120):
        while not (dashboard and report):
            line = (await demo.stdout.readline()).decode()
            if not line:
                raise SystemExit("the demo ended before it printed its addresses")
            if found := re.search(r"dashboard +(http\S+)", line):
                dashboard = found[1]
            if found := re.search(r"report +(file\S+)", line):
                report = found[1]
    return dashboard, report


async def _take(browser: Browser, address: str, name: str, *, wait: float, height: int, key: str = "") -> None:
    page = await browser.new_page(viewport={"width": 1_440, "height": height}, color_scheme="light")
    await page.goto(address)
    if key:
        await page.get_by_placeholder("Password").fill(key)
        await page.get_by_role("button", name="Log in").click()
    await page.wait_for_timeout(wait * 1_000)
    await page.screenshot(path=PICTURES / f"{name}.png")
    sys.stdout.write(f"docs/pictures/{name}.png\n")


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
