"""User ids lent to sandboxes, the limits of one-shot sandboxes, and bounded waits."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sandboxes import HOSTNAME, soon

from tasks._shared.reachable import reachable_folder
from tasks._shared.sandbox import Command, SandboxFault, bwrap_user, reaping, user_ids
from tasks._shared.sandbox.spec import BoxSpec, Programs

HOLDER = """
import sys
from tasks._shared.sandbox import user_ids
user_ids.RANGES = 1
claimed = user_ids.claim_range()
print(claimed.first, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ranges at the far end, which no sandbox beside this test is likely to have."""
    if not user_ids.available():
        pytest.skip("this machine has no ids to lend")
    monkeypatch.setattr(user_ids, "FIRST", 0x7FF00000)
    monkeypatch.setattr(user_ids, "RANGES", 2)


def test_a_range_is_lent_once_until_it_is_given_back(few: None) -> None:
    one, other = user_ids.claim_range(), user_ids.claim_range()
    assert {one.first, other.first} == {0x7FF00000, 0x7FF10000}
    with pytest.raises(SandboxFault, match="all 2 ranges"):
        user_ids.claim_range()
    one.close()
    one.close()
    again = user_ids.claim_range()
    assert again.first == one.first
    again.close()
    other.close()


def test_a_dead_process_has_no_ids(few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_ids, "RANGES", 1)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        with pytest.raises(SandboxFault, match="all 1 ranges"):
            user_ids.claim_range()
        process.kill()
    user_ids.claim_range().close()


def test_only_a_process_that_knows_all_the_ids_lends_them() -> None:
    assert user_ids.covers("         0          0 4294967295\n")
    assert not user_ids.covers("         0     100000      65536\n")
    assert not user_ids.covers("0 1000 1\n1 100000 65536\n")


def test_the_stage_lies_where_every_user_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed" / "inside"
    closed.mkdir(parents=True)
    closed.parent.chmod(0o700)
    monkeypatch.setattr("tempfile.tempdir", str(closed))
    assert reachable_folder() == "/tmp"


ONE_SHOT = """
import ctypes, os, resource
libc = ctypes.CDLL(None)
def fails(call):
    try:
        call()
    except OSError:
        return True
print(fails(lambda: os.open("/dev/ptmx", os.O_RDWR)), fails(lambda: open("/dev/file", "w")),
      fails(lambda: open("/dev/pts/file", "w")), libc.inotify_init1(0), *resource.getrlimit(11))
open("/dev/shm/file", "w").write(open("/dev/zero").read(10)); open("/dev/null", "w").write("x")
"""


async def test_a_one_shot_sandbox_takes_nothing_that_is_counted_for_its_user() -> None:
    python = shutil.which("python3", path="/usr/bin")
    if python is None or shutil.which("bwrap") is None:
        pytest.skip("no bwrap, or no Python under /usr")
    box = await bwrap_user.UserBwrap("").create(BoxSpec(Programs((Path("/usr"),)), HOSTNAME, "/tmp"))
    result = await box.run(Command((python, "-I", "-c", ONE_SHOT), timeout=20))
    await box.destroy()
    if b"No permissions" in result.stderr:
        pytest.skip(result.stderr.decode())
    assert result.stdout.split() == [b"True", b"True", b"True", b"-1", b"1024", b"1024"], result.stderr
    assert result.code == 0, result.stderr


COMMAND = b"sleep\x0098.7\0"


def users_of(command: bytes) -> set[int]:
    """Host users of the processes that run a command."""
    found: set[int] = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes() == command:
                found.add(folder.stat().st_uid)
        except OSError:
            continue
    return found


async def test_one_shot_sandboxes_started_by_root_have_users_of_their_own() -> None:
    if os.geteuid() != 0 or not user_ids.available() or shutil.which("bwrap") is None:
        pytest.skip("needs root, bwrap and ids to lend")
    backend = bwrap_user.UserBwrap("")
    boxes = [await backend.create(BoxSpec(Programs((Path("/usr"),)), HOSTNAME, "/tmp")) for _ in range(3)]
    running = [asyncio.ensure_future(box.run(Command(("sleep", "98.7"), timeout=60))) for box in boxes]
    await soon(lambda: len(users_of(COMMAND)) == 3)
    assert min(users_of(COMMAND)) >= 0x70000000
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    for box in boxes:
        await box.destroy()


async def test_a_process_that_will_not_die_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reaping, "KILLED_S", 0.2)
    process = await asyncio.create_subprocess_exec("sleep", "60")  # in our group: no signal reaches it
    async with asyncio.timeout(20):
        with pytest.raises(SandboxFault, match="still there"):
            await bwrap_user.kill_group(process)
    process.kill()
    await process.wait()
