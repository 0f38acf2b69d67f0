"""Finds what a test left on the machine: processes with their ports, mounts, control groups, files.

Everything that a test starts inherits one variable of the environment, by which its processes are known
however often their parents changed, and one temporary folder, in which browsers keep their profiles. Mounts
and control groups bear the number of the process that made them: those of live processes of other tests do
not count.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

MARK = "HARNESS_TEST_MARK"
WITHIN_S = 30.0
"""How long what is ending is given."""
OURS = "harness-"
"""In the names of the mounts and control groups that the harness makes."""
KEPT = re.compile(rf"\.harness-[a-z]+-{os.getuid()}\.lock")
"""An empty file for each user, by which processes take turns in looking for folders of killed ones."""
GROUPS = Path("/sys/fs/cgroup")
SHARED = Path("/dev/shm")


@dataclass
class Place:
    """Where one test lives.

    Attributes:
        mark: value of the variable that its processes carry.
        folder: its temporary folder; any user may enter it, as sandboxes must.
        before: mounts, groups and shared memory that were there already.
    """

    mark: str
    folder: Path
    before: frozenset[str] = field(default_factory=lambda: frozenset(machine()))

    @property
    def environment(self) -> Mapping[str, str]:
        """What its processes are to inherit."""
        return {MARK: self.mark, "TMPDIR": str(self.folder)}

    def left(self) -> list[str]:
        """What is there now that the test made, each as one line."""
        ports = listening()
        found = [f"process {pid}: {words}{ports_of(pid, ports)}" for pid, words in self.processes()]
        found += sorted(thing for thing in machine() - self.before if not self.anothers(thing))
        files = sorted(path for path in self.folder.iterdir() if not KEPT.fullmatch(path.name))
        return found + [f"file {path}" for path in files]

    def processes(self) -> Iterator[tuple[int, str]]:
        """Its processes but this one, zombies left out, each with its command line."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if int(folder.name) != os.getpid() and self.owns(folder):
                    words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if "forking_commands.py" not in words:  # which runs commands for all tests, to their end
                        yield int(folder.name), words[:200]
            except OSError:
                continue  # it ended meanwhile, or is a zombie

    def owns(self, process: Path) -> bool:
        """Whether a process, by its folder in /proc, is the test's."""
        return f"{MARK}={self.mark}".encode() in (process / "environ").read_bytes().split(b"\0")

    def anothers(self, thing: str) -> bool:
        """Whether a mount or a control group is of a live process that is not the test's."""
        owner = re.search(OURS + r"[a-z]+-(\d+)-", thing)
        if owner is None or int(owner[1]) == os.getpid():
            return False
        process = Path(f"/proc/{owner[1]}")
        try:
            return not self.owns(process)
        except OSError:
            return process.exists()


def machine() -> set[str]:
    """Mounts, control groups and shared memory that look like ours."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found = {f"mount {line.split()[4]}" for line in mounts if OURS in line.split()[4]}
    for root in (GROUPS, *GROUPS.glob("*/")):
        with suppress(FileNotFoundError):  # a group that is taken away while it is looked at
            found |= {f"control group {path}" for path in root.glob(f"{OURS}*") if path.is_dir()}
            found |= {f"control group {path}" for path in root.glob(f"*/{OURS}*") if path.is_dir()}
    return found | {f"shared memory {path}" for path in SHARED.glob(f"{OURS}*")}


def listening() -> Mapping[str, int]:
    """TCP ports on which somebody listens, by the socket's inode."""
    found: dict[str, int] = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A":
                found[words[9]] = int(words[1].rpartition(":")[2], 16)
    return found


def ports_of(pid: int, ports: Mapping[str, int]) -> str:
    """The ports on which a process listens, in words."""
    held: set[int] = set()
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            inode = str(link.readlink()).removeprefix("socket:[").removesuffix("]")
            held |= {ports[inode]} if inode in ports else set()
    except OSError:
        pass  # it ended meanwhile
    return f" (listens on {', '.join(map(str, sorted(held)))})" if held else ""


@contextmanager
def nothing_left(name: str) -> Iterator[Place]:
    """Give a test its place, and fail when anything of it is left at the end."""
    folder = Path(tempfile.mkdtemp(prefix="hc-", dir="/tmp"))  # short: sockets are named in it
    folder.chmod(0o755)
    place = Place(f"{name}-{os.getpid()}-{time.monotonic_ns()}", folder)
    try:
        yield place
        end = time.monotonic() + WITHIN_S
        while (left := place.left()) and time.monotonic() < end:
            time.sleep(0.05)
        assert not left, "left behind:\n" + "\n".join(left)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
