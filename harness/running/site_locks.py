"""Locks on sites between processes; a process that waits can say which other one holds the site."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import socket
import sqlite3
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data import cache_folder
from harness.storage.paths import holder, note

if TYPE_CHECKING:
    from filelock import FileLock, ReadWriteLock

log = logging.getLogger(__name__)

SITE = "site:"
"""Names that begin so are locked between processes as well."""

POLL_S = 0.25
"""How often a site that another process holds is tried again."""

TELL_S = 60.0
"""How often a wait for a site is logged."""

WAIT_S = 3600.0
"""Longest wait for a site; what needs it is then lost for this command."""


@dataclass(slots=True)
class _Site:
    """One site's lock as this process has it.

    A process first locks `turn`, and holds it until it has the site. So a process that gives the site back
    and wants it again queues behind those that wait, and sharers cannot keep others out forever.
    """

    name: str
    access: ReadWriteLock
    turn: FileLock
    holders: Path
    users: int = 0
    shared: bool = False
    tried: float = 0.0
    since: float = 0.0
    told: float = 0.0

    def take(self, *, shared: bool, directory: str) -> bool:
        """Try to lock the site; never waits."""
        from filelock import Timeout

        now = time.monotonic()
        if self.since and now - self.tried < POLL_S / 2:
            return False
        self.tried = now
        try:
            if not self.turn.is_locked:
                self.turn.acquire(timeout=0)
            if not self.users:
                self._open(shared)
        except Timeout:
            self.since = self.since or now
            return False
        self.turn.release()
        self.since = self.told = 0.0
        self.shared, self.users = shared, self.users + 1
        if self.users == 1:
            self._own().write_text(note(directory), encoding="utf-8")
        return True

    def give(self) -> None:
        """End one use; the last unlocks the site."""
        self.users -= 1
        if not self.users:
            with contextlib.suppress(OSError):
                self._own().unlink()
            self.access.release()

    def leave(self) -> None:
        """Stop waiting, for now."""
        if self.turn.is_locked:
            self.turn.release()

    def holder(self) -> str:
        """Who has the site, in words."""
        files = [path for path in sorted(self.holders.glob("*.json")) if path != self._own()]
        known = [told for path in files if _alive(path) and (told := holder(path))]
        return "; ".join(known) or "another process"

    def _open(self, shared: bool) -> None:
        if shared:
            self.access.acquire_read(blocking=False)  # pyright: ignore[reportUnknownMemberType]
            return
        self.access.acquire_write(blocking=False)  # pyright: ignore[reportUnknownMemberType]
        for path in self.holders.glob("*.json"):  # left by processes that ended: no other holds the site now
            path.unlink(missing_ok=True)

    def _own(self) -> Path:
        return self.holders / f"{_host()}@{os.getpid()}.json"


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", socket.gethostname())


def _alive(path: Path) -> bool:
    host, _, pid = path.stem.rpartition("@")
    if host != _host() or not pid.isdecimal():
        return True  # on another host that cannot be found out
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


@dataclass(slots=True)
class SiteLocks:
    """The sites that a run's episodes hold or wait for.

    Attributes:
        directory: the run directory, named to processes that wait.
        folder: of the lock files; None takes the one in the cache.
        wait_s: longest wait for a site.
    """

    directory: str = ""
    folder: Path | None = None
    wait_s: float = WAIT_S
    _sites: dict[str, _Site] = field(default_factory=dict[str, _Site])
    _broken: dict[str, str] = field(default_factory=dict[str, str])

    def take(self, alone: Collection[str], shared: Collection[str]) -> bool:
        """Get all sites among the names at once, or none; never waits."""
        got: list[str] = []
        for name in sorted(name for name in (*alone, *shared) if name.startswith(SITE)):
            if not self._taken(name, name in shared):
                self.give(got)
                return False
            got.append(name)
        return True

    def _taken(self, name: str, shared: bool) -> bool:
        try:
            return self._site(name).take(shared=shared, directory=self.directory)
        except (OSError, RuntimeError, sqlite3.Error) as error:  # what a lock file can raise
            self._broken[name] = f"{name} cannot be locked: {error!r}; HARNESS_CACHE names another folder"
            return False

    def give(self, names: Collection[str]) -> None:
        """Give the sites among the names back."""
        for name in names:
            if name.startswith(SITE):
                self._sites[name].give()

    @property
    def waiting(self) -> bool:
        """Whether another process holds a site that is wanted here."""
        return bool(self._broken) or any(site.since for site in self._sites.values())

    def review(self) -> dict[str, str]:
        """Log who is waited for, and return the sites waited for too long, each with the reason."""
        now, lost = time.monotonic(), self._broken
        self._broken = {}
        for site in self._sites.values():
            if not site.since:
                continue
            if now - site.tried > 4 * POLL_S:
                site.leave()  # no episode that needs it can start now: other processes may go first
            waited = now - site.since
            if waited >= self.wait_s:
                lost[site.name] = f"{site.name} was not free for {waited:.0f} s; held by {site.holder()}"
                site.since = site.told = 0.0
                site.leave()
            elif not site.told or now - site.told >= TELL_S:
                site.told = now
                log.warning("waiting for %s for %.0f s: held by %s", site.name, waited, site.holder())
        return lost

    def close(self) -> None:
        """Wait for nothing more."""
        for site in self._sites.values():
            site.leave()
            site.since = 0.0

    def _site(self, name: str) -> _Site:
        if name not in self._sites:
            self._sites[name] = self._made(name)
        return self._sites[name]

    def _made(self, name: str) -> _Site:
        from filelock import FileLock, ReadWriteLock

        folder = self.folder or cache_folder() / "locks"
        slug = re.sub(r"[^A-Za-z0-9.-]+", "_", name)[:60]
        stem = f"{slug}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
        holders = folder / f"{stem}.holders"
        holders.mkdir(parents=True, exist_ok=True)
        access = ReadWriteLock(str(folder / f"{stem}.db"), timeout=0, blocking=False, is_singleton=False)
        return _Site(name, access, FileLock(folder / f"{stem}.turn", timeout=0), holders)
