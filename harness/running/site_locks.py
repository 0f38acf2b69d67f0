"""Locks on sites between processes; a process that waits can say which other one holds the site."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import socket
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from harness.models import outside
from harness.running.site_files import NAMED, lock, lock_folder, read_note, write_note
from harness.running.sites import SITE
from harness.storage.paths import holder_of, note

log = logging.getLogger(__name__)

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
    and wants it again queues behind those that wait, and sharers cannot keep others out for ever.

    Attributes:
        stem: of its files: two that are locked, and a note of each process that holds the site.
    """

    name: str
    stem: Path
    turn: int | None = None
    access: int | None = None
    users: int = 0
    shared: bool = False
    tried: float = 0.0
    since: float = 0.0
    told: float = 0.0

    def take(self, *, shared: bool, directory: str) -> bool:
        """Try to lock the site; never waits."""
        now = time.monotonic()
        if self.since and now - self.tried < POLL_S / 2:
            return False
        self.tried = now
        if not self._open(shared):
            self.since = self.since or now
            return False
        self.leave()
        self.since = self.told = 0.0
        self.shared, self.users = shared, self.users + 1
        if self.users == 1:
            with contextlib.suppress(OSError):  # others are then told of "another process"
                write_note(self._note(), note(directory))
        return True

    def give(self) -> None:
        """End one use; the last unlocks the site."""
        self.users -= 1
        if not self.users and self.access is not None:
            with contextlib.suppress(OSError):
                self._note().unlink()
            os.close(self.access)
            self.access = None

    def leave(self) -> None:
        """Stop waiting, for now."""
        if self.turn is not None:
            os.close(self.turn)
            self.turn = None

    def holder(self) -> str:
        """Who holds the site, as text."""
        notes = [path for path in self._notes() if path != self._note() and _alive(path)]
        known = [outside.line(told) for path in notes if (told := holder_of(read_note(path)))]
        return "; ".join(known) or "another process"

    def _open(self, shared: bool) -> bool:
        if self.turn is None:
            self.turn = lock(self.stem.with_name(f"{self.stem.name}.turn"), shared=False)
        if self.turn is None:
            return False
        if self.access is None:
            self.access = lock(self.stem.with_name(f"{self.stem.name}.access"), shared=shared)
            if self.access is not None and not shared:
                for path in self._notes():  # left by processes that ended: no other holds the site now
                    with contextlib.suppress(OSError):  # another user's
                        path.unlink()
        return self.access is not None

    def _notes(self) -> list[Path]:
        return sorted(self.stem.parent.glob(f"{self.stem.name}.*@*.json"))

    def _note(self) -> Path:
        return self.stem.with_name(f"{self.stem.name}.{_host()}@{os.getpid()}.json")


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", socket.gethostname())


def _alive(path: Path) -> bool:
    host, _, pid = path.stem.rpartition("@")
    if not host.endswith(f".{_host()}") or not pid.isdecimal():
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
        folder: of the lock files; None takes the one that all users of this machine have in common.
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
        except OSError as error:
            self._broken[name] = f"{name} cannot be locked ({error}); {NAMED} names another folder"
            return False

    def give(self, names: Collection[str]) -> None:
        """Give the sites among the names back."""
        for name in names:
            if name.startswith(SITE):
                self._sites[name].give()

    @property
    def waiting(self) -> bool:
        """Whether another process holds a site that this one needs."""
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
        slug = re.sub(r"[^A-Za-z0-9.-]+", "_", name)[:60]
        stem = f"{slug}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
        return _Site(name, lock_folder(self.folder) / stem)
