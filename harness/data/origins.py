"""Where a file of the data comes from: a path in a repository at a commit, or just a path."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_REPOSITORY = re.compile(r"([\w.-]+/[\w.-]+)@([\w.-]+):(.+)", re.ASCII)
_RAW = re.compile(r"https://raw\.githubusercontent\.com/([^/]+/[^/]+)/([^/]+)/(.+)", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{40}", re.ASCII)
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True, slots=True)
class Origin:
    """One file that a file of the data is copied or made from.

    Attributes:
        path: relative to the top of the checkout, or to the folder a user gives; may hold `*`.
        repository: `owner/name` on GitHub; empty for what is no checkout.
        commit: its commit, or tag.
    """

    path: str
    repository: str = ""
    commit: str = ""

    @property
    def name(self) -> str:
        """The repository's name without its owner."""
        return self.repository.partition("/")[2]

    @property
    def clone(self) -> str:
        """The command that brings the checkout, at that commit, into the current folder."""
        address = f"https://github.com/{self.repository}"
        if _HASH.fullmatch(self.commit):
            return f"git clone {address} && git -C {self.name} checkout -q {self.commit}"
        return f"git clone --depth 1 --branch {self.commit} {address}"


def origin(text: str) -> Origin:
    """Read an entry of `from`: `owner/name@commit:path`, or a plain path."""
    found = _REPOSITORY.fullmatch(text)
    return Origin(found[3], found[1], found[2]) if found else Origin(text)


def of_url(url: str) -> Origin:
    """The checkout that holds what an address of GitHub's raw files serves; for others, the file's name."""
    found = _RAW.fullmatch(url)
    return Origin(found[3], found[1], found[2]) if found else Origin(url.rpartition("/")[2])


def command(task: str, origins: Iterable[Origin]) -> str:
    """One line that brings the checkouts and prepares the task from them; empty when one is no checkout."""
    checkouts = {entry.repository: entry for entry in origins}
    if not checkouts or "" in checkouts:
        return ""
    given = " ".join(f"--from {entry.name}" for entry in checkouts.values())
    clones = [entry.clone for entry in checkouts.values()]
    return " && ".join([*clones, f"harness data prepare {task} {given}"])
