"""A page in a real Chromium."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, async_playwright

CHROMIUM = "/usr/bin/chromium"
_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@contextlib.asynccontextmanager
async def open_page(address: str, *, cookie: str | None = None) -> AsyncIterator[Page]:
    """Open a page, with a login's cookie if there is one; skips the test where there is no Chromium."""
    if shutil.which(CHROMIUM) is None:
        pytest.skip(f"there is no {CHROMIUM}: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=_OPTIONS, timeout=45_000)
        context = await browser.new_context()
        if cookie is not None:
            await context.add_cookies([{"name": "ibdesk_session", "value": cookie, "url": address}])
        page = await context.new_page()
        await page.goto(address)
        yield page
        await browser.close()
