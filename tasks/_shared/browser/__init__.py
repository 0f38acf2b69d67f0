"""Headless browsers for the benchmarks that need one, driven by Playwright."""

from tasks._shared.browser.pool import BrowserPool
from tasks._shared.browser.process import browser_need, find_browser
from tasks._shared.browser.tab import BrowserSettings, NoAnswer, Tab

__all__ = ["BrowserPool", "BrowserSettings", "NoAnswer", "Tab", "browser_need", "find_browser"]
