"""Finds out from the host whether an episode changed the tools that its checks run."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

# Folders and files of the system where a change can make a check say what is not so.
_TOOLS = (
    *("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr/bin", "usr/sbin", "usr/lib", "usr/lib32"),
    *("usr/lib64", "usr/libx32", "usr/libexec", "usr/local", "usr/share/harness-repository"),
    *("etc/alternatives", "etc/ld.so.cache", "etc/ld.so.conf", "etc/ld.so.conf.d", "etc/ld.so.preload"),
    *("etc/nsswitch.conf", "etc/pam.d", "etc/security", "etc/python3", "etc/python3.*"),
    "root/.local/lib",
)
_LOGIN = ("etc/profile", "etc/profile.d", "etc/environment", "etc/bash.bashrc")
"""Read by login shells only, so they matter to checks that start one."""

_PATH = ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin")
# New files that Python, or the dynamic loader, takes up by itself wherever a tool starts.
_TAKEN_UP = (
    *("etc/ld.so.preload", "*/glibc-hwcaps/*", "etc/profile.d/*", "usr/lib/python3[0-9]*.zip"),
    *("usr/lib/python3.*/*", "*/python3*/*.pth", "*/sitecustomize*", "*/usercustomize*"),
)
_CACHE = "etc/ld.so.cache"
_BYTES = 1 << 30
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")

Identity = tuple[object, ...]


class Unreadable(Exception):
    """What was written is too much, or too deep, to be looked through."""


@dataclass(frozen=True, slots=True)
class ToolSnapshot:
    """What an episode had written over the tools at one moment.

    Attributes:
        view: path to what is there; None where something was removed.
        stamps: path to inode and change time, which nobody inside can set, of what is no folder.
    """

    view: Mapping[str, Identity | None]
    stamps: Mapping[str, tuple[int, int]]


def look(upper: Path) -> ToolSnapshot:
    """Walk the writable layer of a system; only its tools are read.

    Raises:
        Unreadable: it holds more than can be there, or paths longer than the kernel takes.
    """
    view: dict[str, Identity | None] = {}
    stamps: dict[str, tuple[int, int]] = {}
    budget = [_BYTES]
    folders = [""]
    try:
        while folders:
            inside = folders.pop()
            with os.scandir(upper / inside) as entries:
                for entry in entries:
                    path = f"{inside}/{entry.name}".lstrip("/")
                    watched = _watched(path)
                    if not watched and not _leads(path):
                        continue
                    view[path] = _identity(upper / path, budget)
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        folders.append(path)
                    elif watched:
                        stamps[path] = (status.st_ino, status.st_ctime_ns)
    except OSError as error:
        raise Unreadable(str(error)) from error
    return ToolSnapshot(view, stamps)


def _watched(path: str) -> bool:
    return any(_below(path, place) for place in (*_TOOLS, *_LOGIN))


def _below(path: str, place: str) -> bool:
    parts = place.count("/") + 1
    head = "/".join(path.split("/")[:parts])
    return fnmatch(head, place)


def _leads(path: str) -> bool:
    return any(place.startswith(f"{path}/") for place in _TOOLS)


def _identity(path: Path, budget: list[int]) -> Identity | None:
    """What a path is, by content; None for nothing and for an overlay's mark of a removal."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    kind = stat.S_IFMT(status.st_mode)
    if stat.S_ISLNK(kind):
        return ("link", str(path.readlink()))
    if stat.S_ISDIR(kind):
        return ("folder", _opaque(path))
    if stat.S_ISREG(kind):
        budget[0] -= status.st_size
        if budget[0] < 0:
            raise Unreadable("more was written than a system can hold")
        with path.open("rb") as file:
            return ("file", hashlib.file_digest(file, "sha256").hexdigest())
    return None if stat.S_ISCHR(kind) and status.st_rdev == 0 else ("special", status.st_rdev)


def _opaque(path: Path) -> bool:
    for name in _OPAQUE:
        try:
            if os.getxattr(path, name, follow_symlinks=False) == b"y":
                return True
        except OSError:
            continue
    return False


def changed(image: Path, upper: Path, before: ToolSnapshot, after: ToolSnapshot, *, login: bool) -> list[str]:
    """Tools that are not what they were, or are found in the place of others.

    What only adds to the system, such as a new command or an installed package, is no change of a tool.

    Args:
        image: the system as it was before any problem.
        upper: the writable layer.
        before: when the episode began.
        after: at its end.
        login: whether a check starts a login shell.
    """
    budget = [_BYTES]
    found: list[str] = []
    for path in sorted(before.view.keys() | after.view.keys()):
        if "__pycache__" in path or (not login and any(_below(path, place) for place in _LOGIN)):
            continue  # the checks' Python reads no compiled files

        def original(path: str = path) -> Identity | None:
            return _identity(image / path, budget)

        old = before.view[path] if path in before.view else original()
        new = after.view[path] if path in after.view else original()
        if old == new:
            continue
        if old is None:
            wrong = _takes_over(path, lambda name: _known(name, image, before))
        else:
            wrong = path != _CACHE or _cache_redirects(image / path, upper / path)
        if wrong:
            found.append(path)
    return found


def _known(path: str, image: Path, before: ToolSnapshot) -> bool:
    if path in before.view:
        return before.view[path] is not None
    return os.path.lexists(image / path)


def _takes_over(path: str, known: Callable[[str], bool]) -> bool:
    """Whether a new file takes effect by itself: found before its namesake, or read at every start."""
    folder, _, name = path.rpartition("/")
    if folder in _PATH and any(known(f"{later}/{name}") for later in _PATH[_PATH.index(folder) + 1 :]):
        return True
    return any(fnmatch(path, pattern) for pattern in _TAKEN_UP)


# --- the loader's cache, rewritten by every package that brings a library ----------------------------

_MAGIC = b"glibc-ld.so.cache1.1"


def _cache_redirects(image: Path, now: Path) -> bool:
    """Whether a library known before is now looked for elsewhere; True also for what is no cache."""
    try:
        old, new = _libraries(image.read_bytes()), _libraries(now.read_bytes())
    except (OSError, ValueError, struct.error):
        return True
    return any(new.get(name, places) != places for name, places in old.items())


def _libraries(data: bytes) -> dict[bytes, list[bytes]]:
    if not data.startswith(_MAGIC):
        raise ValueError("no cache of the loader")
    count = struct.unpack_from("<I", data, len(_MAGIC))[0]
    if count > len(data) // 24:
        raise ValueError("no cache of the loader")
    found: dict[bytes, list[bytes]] = {}
    for number in range(count):
        _, name, place = struct.unpack_from("<iII", data, 48 + 24 * number)
        text, value = (data[start : data.index(b"\0", start)] for start in (name, place))
        found.setdefault(text, []).append(value)
    return found
