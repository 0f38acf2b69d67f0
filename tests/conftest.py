"""What all tests share: where the data mirror is."""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

# How long a drawn case takes says how busy the machine is, and nothing about the code.
settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")

# A test's simulators live for seconds: Java's second compiler takes longer than it ever saves there.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")

# A script's background job ignores Ctrl-C, and so would every command that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Bound tests that swallow their time-out."""
    import repeated_alarm

    config.pluginmanager.register(repeated_alarm)


def pytest_collection_finish() -> None:
    """Leave what collecting made out of later garbage collections; with 4,500 tests each took a second."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Send tests that share a world to one worker.

    Marks of groups do not do it: pytest 9.2 has no `_nodeid` any more, in which pytest-xdist 3.8 keeps them.
    """
    from one_worker import scope
    from xdist.scheduler import LoadScopeScheduling

    class ByWorld(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope(nodeid)

    return ByWorld(config, log)


def mirror_path() -> Path | None:
    """The data mirror, from HARNESS_MIRROR or beside the checkout."""
    named = os.environ.get("HARNESS_MIRROR")
    for candidate in (Path(named) if named else None, ROOT.parent / "shared" / "data"):
        if candidate is not None and candidate.is_dir():
            return candidate.resolve()
    return None


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The data mirror; only a machine without one skips."""
    found = mirror_path()
    if found is None:
        pytest.skip("no data mirror: set HARNESS_MIRROR to its folder")
    return found


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout's top folder."""
    return ROOT
