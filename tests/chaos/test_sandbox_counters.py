"""What the kernel counts for a user or for the whole machine: a sandbox takes its own share at most."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hostile_scripts import TAKE
from sandboxes import HOSTNAME, system

from harness.data import cache_folder
from tasks._shared.sandbox import Box, Caps, Command, Sandbox, open_sandbox
from tasks._shared.sandbox.filesystem import PTYS
from tasks.os.image import built_root

CAPS = Caps(memory_mb=256, pids=64, cpus=1, disk_mb=32)


async def take(box: Box, kind: str, most: int = 1_000_000, *, hold: bool = False) -> tuple[int, str]:
    """Take what a sandbox can have of a kind; with `hold`, keep it."""
    if not hold:
        result = await box.run(Command(("python3", "-c", TAKE, kind, str(most), "-"), timeout=60))
    else:
        script = (
            'cat > /tmp/take; setsid python3 /tmp/take "$@" > /tmp/said 2>&1 < /dev/null & '
            "until grep -q ] /tmp/said; do sleep 0.1; done"
        )
        arguments = ("bash", "-c", f"{script}; cat /tmp/said", "x", kind, str(most), "hold")
        result = await box.run(Command(arguments, stdin=TAKE.encode(), timeout=120))
    count, why = json.loads(result.stdout or b"[0, 0]")
    assert result.code == 0, result.stderr
    return count, why


async def host(kind: str, most: int) -> tuple[int, str]:
    """Take a few of a kind as root of the host."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", TAKE, kind, str(most), "-"), stdout=subprocess.PIPE
    )
    stdout, _ = await asyncio.wait_for(process.communicate(), 60)
    count, why = json.loads(stdout)
    return count, why


@contextlib.asynccontextmanager
async def boxes(sandbox: Sandbox, count: int) -> AsyncIterator[list[Box]]:
    made = await asyncio.gather(*(sandbox.create(hostname=HOSTNAME, caps=CAPS) for _ in range(count)))
    try:
        yield list(made)
    finally:
        await asyncio.gather(*(box.destroy() for box in made))


# Kind to what one sandbox has at most, and what another, and the host, must have all the same.
SHARES = {
    "terminals": (PTYS, 8),
    "inotify": (128, 20),
    "signals": (1024, 500),
    "aio": (0, 0),
    "keys": (0, 0),
    "queues": (256, 8),
    "segments": (4096, 50),
}


@pytest.mark.parametrize("kind", SHARES)
async def test_one_that_takes_all_it_can_leaves_its_neighbours_theirs(kind: str) -> None:
    most, needed = SHARES[kind]
    async with system() as sandbox, boxes(sandbox, 4) as (*greedy, neighbour):
        taken = await asyncio.gather(*(take(box, kind, hold=True) for box in greedy))
        assert {count <= most and why != "" for count, why in taken} == {True}, taken
        assert await take(neighbour, kind, needed) == (needed, "")
        assert await host(kind, max(needed, 8)) == (max(needed, 8), "")
        if needed == 0:
            assert {why for _, why in taken} == {"EPERM"}


async def test_all_users_of_a_sandbox_share_one_allowance() -> None:
    each = (
        "for u in $(seq 1000 1040); do setpriv --reuid $u --regid $u --clear-groups "
        "python3 /tmp/take signals 1000000 hold > /tmp/said$u 2>&1 < /dev/null & done; "
        "for u in $(seq 1000 1040); do until grep -q ] /tmp/said$u; do sleep 0.1; done; done; cat /tmp/said*"
    )
    async with system() as sandbox, boxes(sandbox, 2) as (greedy, neighbour):
        script = f"cat > /tmp/take; {each}"
        result = await greedy.run(Command(("bash", "-c", script), stdin=TAKE.encode(), timeout=120))
        counts = [json.loads(line)[0] for line in result.stdout.splitlines()]
        assert len(counts) == 41 and sum(counts) <= 1024
        assert await take(neighbour, "signals", 1000) == (1000, "")


def mapped_from(pid: int) -> int:
    return int(Path(f"/proc/{pid}/uid_map").read_text().split()[1])


async def test_no_two_sandboxes_have_the_same_user_ids_and_none_the_hosts() -> None:
    async with system() as sandbox, boxes(sandbox, 8) as made:
        firsts = {mapped_from(box.init_pid) for box in made}  # type: ignore[attr-defined]
        assert len(firsts) == 8 and min(firsts) >= 0x70000000
        script = "touch /f; chown 5:7 /f; stat -c %u:%g /f /etc/passwd; cat /proc/self/uid_map"
        result = await made[0].run(Command(("bash", "-c", script)))
        assert result.stdout.split()[:2] == [b"5:7", b"0:0"]
        upper = made[0].written
        assert upper is not None
        first, status = mapped_from(made[0].init_pid), (upper / "f").stat()  # type: ignore[attr-defined]
        assert (status.st_uid, status.st_gid) == (first + 5, first + 7)


@pytest.fixture
def unmappable(tmp_path: Path) -> Iterator[Path]:
    """The OS task's system on a file system that cannot map owners: an overlay."""
    folders = [tmp_path / name for name in ("upper", "work", "root")]
    for folder in folders:
        folder.mkdir()
    upper, work, merged = folders
    options = f"lowerdir={built_root(cache_folder())},upperdir={upper},workdir={work}"
    done = subprocess.run(
        ["mount", "-t", "overlay", "overlay", "-o", options, str(merged)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no overlay can be mounted here: {done.stderr.decode()}")
    yield merged
    subprocess.run(["umount", str(merged)], check=True)


async def test_where_owners_cannot_be_mapped_each_still_counts_for_a_user_of_its_own(
    unmappable: Path,
) -> None:
    async with system():
        pass  # or a skip
    async with open_sandbox({"bwrap": unmappable}) as sandbox, boxes(sandbox, 2) as (greedy, neighbour):
        script = "stat -c %U /etc/passwd; touch /f; chown 5 /f; stat -c %u /f; cat /proc/self/uid_map"
        result = await greedy.run(Command(("bash", "-c", script)))
        assert result.stdout.split() == [b"root", b"5", b"0", b"0", b"65536"]
        for kind in ("terminals", "inotify", "signals"):
            most, needed = SHARES[kind]
            assert (await take(greedy, kind, hold=True))[0] <= most
            assert await take(neighbour, kind, needed) == (needed, "")
            assert await host(kind, needed) == (needed, "")


BUFFERS = """
import resource, socket
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
server, held, sent = socket.create_server(("127.0.0.1", 0), backlog=100), [], 0
for _ in range(250):
    one = socket.create_connection(server.getsockname())
    held += [one, server.accept()[0]]
    one.setblocking(False)
    try:
        while True:
            sent += one.send(bytes(1 << 20))
    except BlockingIOError:
        print(sent >> 20, flush=True)
"""


async def test_what_sockets_hold_counts_as_memory() -> None:
    async with system() as sandbox, boxes(sandbox, 1) as (box,):
        result = await box.run(Command(("python3", "-c", BUFFERS), timeout=60))
        megabytes = int(result.stdout.split()[-1])
        assert 1 <= megabytes <= CAPS.memory_mb
