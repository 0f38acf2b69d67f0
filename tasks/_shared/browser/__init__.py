"""Headless browsers for the benchmarks that need one, driven by Playwright."""

from tasks._shared.browser.pages import Pages
from tasks._shared.browser.pool import BrowserPool
from tasks._shared.browser.process import browser_need, find_browser
from tasks._shared.browser.proxy import FilteringProxy
from tasks._shared.browser.tab import BrowserSettings, NoAnswer, PageCrashed, PageLost, Tab

__all__ = [
    "BrowserPool",
    "BrowserSettings",
    "FilteringProxy",
    "NoAnswer",
    "PageCrashed",
    "PageLost",
    "Pages",
    "Tab",
    "browser_need",
    "find_browser",
]
