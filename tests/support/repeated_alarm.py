"""A test past its time-out is told again and again, also while its fixtures are taken down.

pytest-timeout rings once. What its alarm raises in a callback of asyncio goes to the loop's exception
handler, so the test waits on; and after a test failed nothing bounds its fixtures any more.
"""

from __future__ import annotations

import signal
from collections.abc import Generator
from typing import Any

import pytest

AGAIN_S = 60.0
"""Seconds between two alarms; a fixture of a loaded machine needs some to end its servers."""

SETTINGS = pytest.StashKey[Any]()


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> Generator[None, object, object]:
    """Let the alarm that pytest-timeout has set ring again."""
    done = yield
    item.stash[SETTINGS] = settings
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    if left:
        signal.setitimer(signal.ITIMER_REAL, left, AGAIN_S)
    return done


@pytest.hookimpl(trylast=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector) -> None:
    """Bound the rest of a failed test: pytest-timeout has just cancelled its alarm, for debuggers."""
    settings = node.stash.get(SETTINGS, None)
    if isinstance(node, pytest.Item) and settings is not None and not node.config.getoption("usepdb"):
        node.ihook.pytest_timeout_set_timer(item=node, settings=settings)
