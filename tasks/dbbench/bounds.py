"""What the SQL of a model may take of the machine: the server's own maxima, its memory, its files."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
from pathlib import Path

from tasks._shared.sandbox import cgroups
from tasks._shared.sandbox.spec import Caps

log = logging.getLogger(__name__)

MEMORY_MB = 1024
"""For the server: buffers take 80 MB, each session at most 64 MB."""

DATABASE_MB = 128
"""For the files of one episode's database; the largest released table takes less than 1 MB."""

STATEMENT_MB = 16
"""What a statement may add where the database has reached its bound."""

FILE_MB = 512
"""For any one file of the server, such as a query's sorted rows."""

_MAXIMA = {
    **dict.fromkeys(("max-heap-table-size", "tmp-memory-table-size"), "16M"),
    **dict.fromkeys(("max-session-mem-used", "tmp-disk-table-size"), "64M"),
    **dict.fromkeys(("myisam-sort-buffer-size", "aria-sort-buffer-size"), "8M"),
    **dict.fromkeys(("sort-buffer-size", "join-buffer-space-limit"), "2M"),
    **dict.fromkeys(("join-buffer-size", "read-buffer-size", "read-rnd-buffer-size"), "1M"),
    **dict.fromkeys(("mrr-buffer-size", "bulk-insert-buffer-size", "preload-buffer-size"), "1M"),
    **dict.fromkeys(("query-alloc-block-size", "query-prealloc-size", "range-alloc-block-size"), "1M"),
    **dict.fromkeys(("transaction-alloc-block-size", "transaction-prealloc-size"), "1M"),
    "group-concat-max-len": "1M",
    "innodb-lock-wait-timeout": "5",
    "lock-wait-timeout": "30",
}

CONTAINED = (
    *("--skip-networking", "--skip-name-resolve", "--skip-symbolic-links", "--local-infile=0"),
    *("--secure-file-priv=/dev/null", "--event-scheduler=OFF", "--max-connections=600"),
    *("--max-allowed-packet=16M", "--tmp-disk-table-size=64M", "--tmp-memory-table-size=16M"),
    *("--max-session-mem-used=64M", "--innodb-lock-wait-timeout=5", "--lock-wait-timeout=5"),
    # Tables in memory are counted nowhere; without NO_ENGINE_SUBSTITUTION they are made on disk instead.
    "--enforce-storage-engine=InnoDB",
    "--innodb-temp-data-file-path=ibtmp1:12M:autoextend:max:256M",
    *(f"--maximum-{name}={value}" for name, value in _MAXIMA.items()),
)
"""Options of the server: without `--maximum-...`, any session may raise its own limits."""


class MemoryGroup:
    """A control group around one server; where none can be made, a resource limit replaces it."""

    def __init__(self) -> None:
        layout, reason = cgroups.discover()
        name = f"{cgroups.owner_prefix()}dbbench-{os.urandom(4).hex()}"
        self._group = _memory_only(layout.group(name, Caps(memory_mb=MEMORY_MB))) if layout else None
        if self._group is None:
            log.info("the database server gets no control group (%s): RLIMIT_DATA bounds it", reason)

    def enter(self, pid: int) -> None:
        """Make the group and move a process that has just started into it; waits for the kernel, 10 ms or so.

        Raises:
            OSError: the group cannot be made, or the process is gone.
        """
        if self._group is None:
            resource.prlimit(pid, resource.RLIMIT_DATA, (2 * MEMORY_MB << 20, 2 * MEMORY_MB << 20))
            return
        for folder in self._group.folders:
            folder.mkdir(exist_ok=True)
        cgroups.write_limits(self._group.limits)
        for folder in self._group.folders:
            (folder / "cgroup.procs").write_text(str(pid))

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel has killed the server because its memory was used up."""
        return self._group is not None and self._group.ran_out_of_memory()

    async def remove(self) -> None:
        """Kill what is in the group and remove it."""
        if self._group is not None and not await self._group.remove():
            log.warning("a control group of the database server could not be removed")


def _memory_only(group: cgroups.Group) -> cgroups.Group:
    limits = tuple((file, value) for file, value in group.limits if file.name.startswith("memory."))
    return cgroups.Group(tuple(dict.fromkeys(file.parent for file, _ in limits)), limits)


async def sweep() -> None:
    """Remove the groups of harnesses that were killed."""
    layout, _ = cgroups.discover()
    if layout is not None:
        await cgroups.reap(layout)


def bound_files() -> None:
    """Bound every file that this process writes; called in a new process before it becomes the server.

    A write beyond it fails with EFBIG, which the server reports as a full table.
    """
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_MB << 20, FILE_MB << 20))


def size(folder: Path) -> int:
    """Bytes of the files that lie in a folder; 0 when it is not there."""
    total = 0
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            with contextlib.suppress(OSError):
                total += entry.stat(follow_symlinks=False).st_size
    return total
