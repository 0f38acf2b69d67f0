"""Control groups (version 1, 2 or both), which limit a sandbox and let all of it be killed at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks._shared.sandbox.linux import process_start
from tasks._shared.sandbox.spec import Caps

CONTROLLERS = ("memory", "pids", "cpu")
_NAME = re.compile(r"harness-box-(\d+)-(\d+)-.+")
_PERIOD_US = 100_000
# In version 1 the memory of sockets belongs to the whole machine, unless it has a limit of its own.
_SOCKETS = 32 << 20


@dataclass(frozen=True, slots=True)
class Group:
    """One sandbox's groups: folders to make, limits to write, and where a process joins.

    Attributes:
        folders: one per hierarchy.
        limits: file to text; a missing file (no swap accounting) is left out.
    """

    folders: tuple[Path, ...]
    limits: tuple[tuple[Path, str], ...]

    def make(self) -> None:
        """Make the folders, all or none.

        Raises:
            OSError: the kernel makes no more of them.
        """
        made: list[Path] = []
        try:
            for folder in self.folders:
                folder.mkdir()
                made.append(folder)
        except OSError:
            for folder in made:
                folder.rmdir()
            raise

    def members(self) -> list[int]:
        """Processes of the group, as the host sees them."""
        found: set[int] = set()
        for folder in self.folders:
            with contextlib.suppress(OSError):
                found.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
        return sorted(found - {0})

    def kill(self) -> None:
        """Kill every member once; a fork bomb is killed by repeating this until no member is left."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                (folder / "cgroup.kill").write_text("1")
        for pid in self.members():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel has killed a member because the group's memory was used up."""
        for file in ("memory.events", "memory.oom_control"):  # versions 2 and 1
            for folder in self.folders:
                with contextlib.suppress(OSError):
                    counts = (line.split() for line in (folder / file).read_text().splitlines())
                    if any(name == "oom_kill" and int(count) for name, count in counts):
                        return True
        return False

    async def stop(self, besides: int, *, within: float = 5.0) -> bool:
        """Send SIGSTOP until every member but `besides` has stopped; False when some run past `within`.

        A stopped process goes on only when another one continues it, and no other is left to do so.
        """
        clock = asyncio.get_running_loop().time
        end = clock() + within
        while running := [pid for pid in self.members() if pid != besides and _runs(pid)]:
            if clock() > end:
                return False
            for pid in running:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(0.001)
        return True

    async def remove(self, *, within: float = 10.0) -> bool:
        """Kill the members until the folders can be removed; False when some stayed past `within`."""
        clock = asyncio.get_running_loop().time
        end = clock() + within
        pause = 0.001
        while not self._gone():
            if clock() > end:
                return False
            self.kill()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.1)
        return True

    def _gone(self) -> bool:
        for folder in self.folders:
            with contextlib.suppress(FileNotFoundError, OSError):
                folder.rmdir()
        return not any(folder.exists() for folder in self.folders)


def _runs(pid: int) -> bool:
    """Whether a process is neither stopped nor dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in b"TtZX"
    except (OSError, IndexError):
        return False


@dataclass(frozen=True, slots=True)
class Layout:
    """Where this process may make groups.

    Attributes:
        version: 1 or 2.
        roots: controller to the folder under which groups are made; one folder for all in version 2.
    """

    version: int
    roots: Mapping[str, Path]

    def group(self, name: str, caps: Caps) -> Group:
        """Plan the groups of a sandbox; nothing is made yet."""
        folders = {controller: root / name for controller, root in self.roots.items()}
        memory, quota = caps.memory_mb << 20, int(caps.cpus * _PERIOD_US)
        if self.version == 2:
            wanted = [
                ("memory", "memory.max", memory),
                ("memory", "memory.swap.max", 0),
                ("pids", "pids.max", caps.pids),
                ("cpu", "cpu.max", f"{quota} {_PERIOD_US}"),
            ]
        else:
            wanted = [
                ("memory", "memory.limit_in_bytes", memory),
                ("memory", "memory.memsw.limit_in_bytes", memory),
                ("memory", "memory.kmem.tcp.limit_in_bytes", min(memory, _SOCKETS)),
                ("pids", "pids.max", caps.pids),
                ("cpu", "cpu.cfs_period_us", _PERIOD_US),
                ("cpu", "cpu.cfs_quota_us", quota),
            ]
        limits = tuple((folders[controller] / file, str(value)) for controller, file, value in wanted)
        return Group(tuple(dict.fromkeys(folders.values())), limits)


OPTIONAL = frozenset({"memory.memsw.limit_in_bytes", "memory.swap.max", "memory.kmem.tcp.limit_in_bytes"})
"""Limits on swap and sockets, absent where the kernel does not count these separately."""


def write_limits(limits: Iterable[tuple[str | Path, str]]) -> None:
    """Write limits into the files of groups, without those on swap or sockets that the kernel does not count.

    Raises:
        OSError: one of the other files is not there or takes no such value.
    """
    for path, value in limits:
        file = Path(path)
        # Checked first: to write a missing file gives the same error as a lack of permission.
        if file.exists() or file.name not in OPTIONAL:
            file.write_text(value)


def owner_prefix() -> str:
    """Name prefix of what this process owns; another process can tell from it whether this one still runs."""
    return f"harness-box-{os.getpid()}-{process_start(os.getpid())}-"


def abandoned(name: str) -> bool:
    """Whether something named with `owner_prefix` belongs to a process that is gone."""
    match = _NAME.fullmatch(name)
    return match is not None and process_start(int(match[1])) != int(match[2])


def discover() -> tuple[Layout | None, str]:
    """Find where groups can be made; the layout, or None and the reason."""
    mounts = _mounts()
    own = _own_paths()
    first = {name: path for name, path in mounts.items() if name in CONTROLLERS}
    if len(first) == len(CONTROLLERS):
        roots: dict[str, Path] = {}
        for name in CONTROLLERS:
            root = _writable(_candidates(first[name], own.get(name, "/")))
            if root is None:
                return None, f"control group hierarchy {name} is not writable"
            roots[name] = root
        return Layout(1, roots), ""
    if "" not in mounts:
        return None, "no control group hierarchy is mounted"
    for folder in _candidates(mounts[""], own.get("", "/")):
        reason = _delegated(folder)
        if not reason:
            return Layout(2, dict.fromkeys(CONTROLLERS, folder)), ""
    return None, "no control group (version 2) has memory, pids and cpu to delegate and may be written"


def _mounts() -> dict[str, Path]:
    """Version 1 controllers by name, version 2 under the empty name."""
    found: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        point = Path(left.split()[4])
        if kind == "cgroup":
            found.update(dict.fromkeys(options.split(","), point))
        elif kind == "cgroup2":
            found[""] = point
    return found


def _own_paths() -> dict[str, str]:
    found: dict[str, str] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        found.update(dict.fromkeys(names.split(","), path))
    return found


def _candidates(mount: Path, own: str) -> Iterable[Path]:
    """This process's own group first, so that its limits still hold, then each one above it."""
    folder = mount / own.lstrip("/")
    while folder != mount and mount in folder.parents:
        if folder.is_dir():
            yield folder
        folder = folder.parent
    yield mount


def _writable(folders: Iterable[Path]) -> Path | None:
    return next((folder for folder in folders if _makes(folder)), None)


def _makes(folder: Path) -> bool:
    trial = folder / f"{owner_prefix()}trial"
    try:
        trial.mkdir(exist_ok=True)
        trial.rmdir()
    except OSError:
        return False
    return True


def _delegated(folder: Path) -> str:
    """Why groups under a version 2 folder would lack a controller; empty when they have them."""
    try:
        if not set(CONTROLLERS) <= set((folder / "cgroup.controllers").read_text().split()):
            return "controllers missing"
        (folder / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in CONTROLLERS))
    except OSError as error:
        return str(error)
    return "" if _makes(folder) else "not writable"


async def reap(layout: Layout) -> int:
    """Remove the groups of processes that are gone, with all groups in them and whatever still runs there.

    A group stays that holds one of a live process. Returns how many were removed.
    """
    removed = 0
    for root in dict.fromkeys(layout.roots.values()):
        for folder in sorted(root.glob("harness-box-*")):
            whole = tuple(Path(found) for found, _, _ in os.walk(folder, topdown=False))
            if all(abandoned(one.name) for one in whole) and await Group(whole, ()).remove():
                removed += len(whole)
    return removed
