"""The system the OS task runs on: what it is made of, its folder, and its hash."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from harness.errors import MissingPart
from tasks._shared.sandbox.spec import MARKER

SUITE = "bookworm"
PACKAGES = (
    *("procps", "python3", "python3-pip", "git", "vim", "curl", "wget", "unzip", "zip", "tree"),
    "ca-certificates",
)
"""What the paper's image installs, with what a bare Debian lacks against its Ubuntu (procps)."""

OFFLINE = ("sudo",)
"""Not installed, but installable without a network: three samples are about installing it."""

VERSION = 1
"""Raised whenever the recipe changes what is built."""

CONTAINER_IMAGE = f"agenttuning-harness/os:{VERSION}"
REPOSITORY = "usr/share/harness-repository"
FIX = "harness setup os"

# What differs between two builds of the same packages.
_VOLATILE = (
    *("tmp", "run", "var/log", "var/cache", "var/tmp", "var/lib/apt", "var/lib/systemd", "var/lib/dpkg"),
    *("etc/shadow", "etc/shadow-", "etc/machine-id", "etc/ld.so.cache", "root", MARKER),
)


def root_folder(cache: Path) -> Path:
    """The folder of the root file system in the user's cache."""
    return cache / "os" / f"root-{SUITE}-{VERSION}"


def built_root(cache: Path) -> Path:
    """The root file system.

    Raises:
        MissingPart: it has not been built.
    """
    folder = root_folder(cache)
    if not (folder / MARKER).is_file():
        raise MissingPart(f"the root file system is not built: {FIX}")
    return folder


def tree_hash(root: Path) -> str:
    """Hash of every lasting file's path, kind, permissions, owner and content."""
    digest = hashlib.sha256()
    for path, name in _walk(root, ""):
        status = os.lstat(path)
        digest.update(f"{name}\0{status.st_mode:o}\0{status.st_uid}:{status.st_gid}\0".encode())
        if stat.S_ISLNK(status.st_mode):
            digest.update(os.fsencode(Path(path).readlink()))
        elif stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file:  # noqa: PTH123 (a hundred thousand of them)
                digest.update(hashlib.file_digest(file, "sha256").digest())
        digest.update(b"\n")
    return digest.hexdigest()


def _walk(folder: Path, inside: str) -> Iterator[tuple[str, str]]:
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        name = f"{inside}{entry.name}"
        if name in _VOLATILE or entry.name == "__pycache__":
            continue
        yield entry.path, name
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), f"{name}/")
