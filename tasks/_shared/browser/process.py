"""Finds the browser program, and the processes that a pool of browsers started."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.needs import Need

BROWSER_FIX = "apt-get install -y --no-install-recommends chromium-headless-shell fonts-liberation"

# The headless shell first: it needs a quarter of the memory, and its background pages are still painted.
_PROGRAMS = ("chromium-headless-shell", "headless_shell", "chromium", "chromium-browser", "google-chrome")


def find_browser(playwright_own: str = "") -> str | None:
    """Find a Chromium: `HARNESS_CHROMIUM`, the headless shell, Playwright's own, then any on PATH."""
    named = os.environ.get("HARNESS_CHROMIUM")
    if named:
        return named if shutil.which(named) else None
    own = [playwright_own] if playwright_own and Path(playwright_own).is_file() else []
    found = [shutil.which(name) for name in _PROGRAMS]
    return next((path for path in [*found[:2], *own, *_downloaded(), *found[2:]] if path), None)


def _downloaded() -> Iterator[str]:
    """Browsers that `playwright install` put into its cache."""
    cache = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright")
    for pattern in ("chromium_headless_shell-*/*/*headless*shell", "chromium-*/*/chrome"):
        yield from (str(path) for path in sorted(cache.glob(pattern), reverse=True))


def browser_need() -> Need:
    """Need a Chromium that Playwright can drive."""

    def missing() -> str | None:
        return None if find_browser() else "no Chromium on PATH"

    return Need("chromium", missing, BROWSER_FIX)


def parents(marker: str) -> dict[int, int]:
    """Main processes that carry a switch on their command line, with their parents' process ids."""
    found: dict[int, int] = {}
    for folder in _processes():
        with contextlib.suppress(OSError, ValueError, IndexError):
            words = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            if marker in words and not any(word.startswith("--type=") for word in words):
                found[int(folder.name)] = int(_stat(folder)[1])
    return found


def kill_marked(marker: str, drivers: Iterable[int]) -> None:
    """Kill the browsers that still run with a switch, and the drivers that started them."""
    for pid in parents(marker):
        with contextlib.suppress(OSError):
            group = os.getpgid(pid)
            # The driver starts a browser in a group of its own; this process's group must not be killed.
            if group == os.getpgrp():
                os.kill(pid, signal.SIGKILL)
            else:
                os.killpg(group, signal.SIGKILL)
    for pid in drivers:
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int(_stat(Path("/proc") / str(pid))[1]) == os.getpid():
                os.kill(pid, signal.SIGKILL)


def _processes() -> list[Path]:
    root = Path("/proc")
    return [path for path in root.iterdir() if path.name.isdigit()] if root.is_dir() else []


def _stat(folder: Path) -> list[str]:
    """Fields of /proc/PID/stat after the program's name: state, parent, group, ..."""
    return (folder / "stat").read_text().rpartition(")")[2].split()
