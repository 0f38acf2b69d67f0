"""What tests in a real browser share: when they run, how pages are looked at, and a trap for scripts."""

from __future__ import annotations

import os
import shutil

import pytest
from playwright.async_api import Page, expect

from tasks._shared.browser import find_browser

expect.set_options(timeout=30_000)
"""Milliseconds for what a page is to show: a machine with much else to do takes seconds for a click."""

CI = bool(os.environ.get("CI"))
NEEDS_BROWSER = pytest.mark.skipif(find_browser() is None and not CI, reason="no Chromium on PATH")
NEEDS_NPM = pytest.mark.skipif(shutil.which("npm") is None and not CI, reason="no npm to get axe-core")

LOOKS = [("light", 1280), ("dark", 390)]
"""Colour schemes with widths in pixels; the others of both are slow."""
MORE_LOOKS = [
    pytest.param("dark", 1280, marks=pytest.mark.slow),
    pytest.param("light", 390, marks=pytest.mark.slow),
]
CANARY = "globalThis.called = 0; globalThis.canary = () => { globalThis.called += 1; }"
"""A function that no text of a page may call."""


class Seen:
    """What a page complained about, and the addresses it asked for."""

    def __init__(self, page: Page) -> None:
        self.errors: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    def check(self, start: str) -> None:
        """No complaint, and every address the page asked for begins with `start`."""
        assert self.errors == []
        assert self.asked and all(url.startswith((start, "data:")) for url in self.asked)
