"""Sites, run directories and scratch folders between real processes, some of them killed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.errors import UsageError
from harness.running.activity import Activity
from harness.running.admission import Budget
from harness.running.queue import EpisodeQueue, PlannedEpisode
from harness.running.scheduler import Scheduler, TaskQueue
from harness.running.site_locks import SiteLocks
from harness.storage import paths
from harness.storage.scratch import scratch
from harness.types import Capacity, Sample

SITE = "site:http://shop.example:7770"

HOLD_SITE = """
import sys
from pathlib import Path
from harness.running.site_locks import SiteLocks
locks = SiteLocks("first-run", Path(sys.argv[1]))
names = [sys.argv[2]]
assert locks.take([], names) if sys.argv[3] == "shared" else locks.take(names, [])
print("held", flush=True)
sys.stdin.read()
locks.give(names)
"""
HOLD_RUN = """
import sys
from pathlib import Path
from harness.storage import paths
with paths.hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
HOLD_SCRATCH = """
import sys
from harness.storage.scratch import scratch
with scratch("harness-test-") as folder:
    (folder / "task").mkdir()
    (folder / "task" / "file").write_text("x")
    print(folder, flush=True)
    sys.stdin.read()
"""
NEW = """
import sys
from pathlib import Path
from harness.storage import paths
sys.stdin.readline()
print(paths.new(Path(sys.argv[1])))
"""


@contextmanager
def process(program: str, *words: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs until its standard input is closed; killed at the end if it still lives."""
    command = [sys.executable, "-c", program, *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, env=os.environ | environment
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def line(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline().strip()


def task(
    name: str, episodes: list[PlannedEpisode], played: list[str], lost: list[str], seen: asyncio.Event
) -> TaskQueue:
    @asynccontextmanager
    async def world():
        yield SimpleNamespace(capacity=Capacity(), fingerprint={})

    async def play(world, episode: PlannedEpisode, activity: Activity) -> bool:
        played.append(episode.sample.id)
        seen.set()
        return False

    return TaskQueue(name, EpisodeQueue(episodes), world, play, lambda error: lost.append(str(error)))


def at_site(count: int) -> list[PlannedEpisode]:
    return [PlannedEpisode(Sample(f"at{n}", locks=(SITE,)), 0) for n in range(count)]


async def test_the_second_process_names_the_first_and_goes_on_when_it_is_killed(tmp_path: Path, caplog):
    caplog.set_level(logging.WARNING)
    played, lost, seen = list[str](), list[str](), asyncio.Event()
    with process(HOLD_SITE, str(tmp_path), SITE, "alone") as first:
        assert line(first) == "held"
        episodes = [*at_site(3), PlannedEpisode(Sample("free"), 0)]
        scheduler = Scheduler(Budget(4, 1e6, 8), SiteLocks("second-run", tmp_path))
        running = asyncio.create_task(scheduler.run([task("a", episodes, played, lost, seen)]))
        async with asyncio.timeout(60):
            await seen.wait()
            while not caplog.messages:  # noqa: ASYNC110 - the log tells nobody
                await asyncio.sleep(0.05)
        assert played == ["free"], "only what needs the site waits"
        assert SITE in caplog.messages[0]
        assert f"process {first.pid} on " in caplog.messages[0]
        assert "run directory first-run" in caplog.messages[0]
        first.kill()
        async with asyncio.timeout(60):
            await running
    assert played == ["free", "at0", "at1", "at2"]
    assert not lost
    assert len(caplog.messages) == 1


async def test_a_site_that_stays_locked_loses_what_needs_it(tmp_path: Path):
    played, lost, seen = list[str](), list[str](), asyncio.Event()
    with process(HOLD_SITE, str(tmp_path), SITE, "alone") as first:
        assert line(first) == "held"
        scheduler = Scheduler(Budget(4, 1e6, 8), SiteLocks("", tmp_path, wait_s=0.5))
        async with asyncio.timeout(60):
            await scheduler.run(
                [task("a", [*at_site(3), PlannedEpisode(Sample("free"), 0)], played, lost, seen)]
            )
        assert played == ["free"]
        assert len(lost) == 1
        assert f"held by process {first.pid} on " in lost[0]


def test_sharers_share_between_processes_and_keep_out_who_wants_it_alone(tmp_path: Path):
    with process(HOLD_SITE, str(tmp_path), SITE, "shared") as first:
        assert line(first) == "held"
        other = SiteLocks("", tmp_path)
        assert other.take([], [SITE])
        other.give([SITE])
        assert not SiteLocks("", tmp_path).take([SITE], [])
        assert other.take([SITE, "not a site"], []) is False


def test_a_folder_that_cannot_be_used_loses_the_site_and_not_the_run(tmp_path: Path):
    (tmp_path / "file").write_text("")
    locks = SiteLocks("", tmp_path / "file")
    assert not locks.take([SITE], [])
    assert locks.waiting
    assert "HARNESS_LOCKS" in locks.review()[SITE]
    assert not locks.waiting


def test_a_folder_in_which_anyone_may_remove_files_is_refused(tmp_path: Path):
    folder = tmp_path / "locks"
    folder.mkdir()
    folder.chmod(0o777)
    locks = SiteLocks("", folder)
    assert not locks.take([SITE], [])
    assert "chmod +t" in locks.review()[SITE]


def test_nothing_that_others_put_into_the_folder_is_followed_or_changed(tmp_path: Path):
    """Whoever knows a lock's name may put a link, a pipe or a false note in its place."""
    folder, precious = tmp_path / "locks", tmp_path / "precious"
    precious.write_text("kept")
    first = SiteLocks("first", folder)
    assert first.take([SITE], [])
    stem = next(folder.glob("*.access")).name.removesuffix(".access")
    (folder / f"{stem}.linked@1.json").symlink_to(precious)
    os.mkfifo(folder / f"{stem}.piped@1.json")
    (folder / f"{stem}.nested@1.json").write_text("[" * 100_000)
    (folder / f"{stem}.steering@1.json").write_text(
        '{"pid": 1, "host": "\\u001b[2J", "since": "", "directory": ""}'
    )
    other = SiteLocks("other", folder, wait_s=0.0)
    assert not other.take([SITE], [])
    told = other.review()[SITE]
    assert f"process {os.getpid()} on " in told or "process 1 on " in told
    assert "\x1b" not in told
    first.give([SITE])
    for suffix in ("turn", "access"):
        (folder / f"{stem}.{suffix}").unlink()
        (folder / f"{stem}.{suffix}").symlink_to(precious)
        assert not other.take([SITE], [])
        assert "cannot be locked" in other.review()[SITE]
        (folder / f"{stem}.{suffix}").unlink()
    assert precious.read_text() == "kept"
    assert other.take([SITE], [])
    other.give([SITE])


def test_a_lock_file_that_was_swept_away_locks_nothing(tmp_path: Path):
    first = SiteLocks("first", tmp_path)
    assert first.take([SITE], [])
    for path in tmp_path.glob("*.access"):
        path.unlink()
    second, third = SiteLocks("second", tmp_path), SiteLocks("third", tmp_path)
    assert second.take([SITE], [])
    assert not third.take([SITE], []), "the new file keeps others out"
    first.give([SITE])
    second.give([SITE])
    third.close()


AS_USER = """
import os, sys
from harness.running.site_locks import SiteLocks
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
locks = SiteLocks("another's run", wait_s=0)
print("held" if locks.take([sys.argv[1]], []) else locks.review(), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(("first", "second"), [("0", "65534"), ("65534", "0"), ("65534", "65533")])
def test_two_users_with_caches_and_temporary_folders_of_their_own_share_the_locks(first: str, second: str):
    with tempfile.TemporaryDirectory(dir="/tmp") as top:
        Path(top).chmod(0o1777)
        common = {"HARNESS_LOCKS": f"{top}/sites"}
        own = [{"HARNESS_CACHE": f"{top}/{user}", "TMPDIR": f"{top}/{user}"} for user in (first, second)]
        with process(AS_USER, SITE, first, **common, **own[0]) as one:
            assert line(one) == "held"
            assert Path(top, "sites").stat().st_mode & 0o7777 == 0o1777
            with process(AS_USER, SITE, second, **common, **own[1]) as two:
                told = line(two)
            assert f"held by process {one.pid} on " in told and "another's run" in told
        with process(AS_USER, SITE, second, **common, **own[1]) as two:
            assert line(two) == "held", "the first one's end gave the site back"


def test_a_second_runner_of_a_directory_is_refused_and_a_dead_one_is_not(tmp_path: Path):
    with process(HOLD_RUN, str(tmp_path)) as first:
        assert line(first) == "held"
        with pytest.raises(UsageError) as refused, paths.hold(tmp_path):
            pass
        told = str(refused.value)
        assert str(tmp_path) in told
        assert f"process {first.pid} on " in told
        assert " since " in told
        first.kill()
        first.wait()
        with paths.hold(tmp_path):
            pass
    with paths.hold(tmp_path):
        pass


def test_new_runs_of_one_second_get_folders_of_their_own(tmp_path: Path):
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(process(NEW, str(tmp_path / "run"))) for _ in range(3)]
        made = {process.communicate("go\n", timeout=60)[0].strip() for process in running}
    made |= {str(paths.new(tmp_path / "run")) for _ in range(5)}
    assert len(made) == 8
    assert all(Path(path).is_dir() for path in made)


def test_the_folder_of_a_killed_process_is_swept_and_a_living_ones_stays(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with (
        process(HOLD_SCRATCH, TMPDIR=str(tmp_path)) as dead,
        process(HOLD_SCRATCH, TMPDIR=str(tmp_path)) as living,
    ):
        left, used = Path(line(dead)), Path(line(living))
        dead.kill()
        dead.wait()
        assert left.is_dir()
        with scratch("harness-test-") as own:
            assert not left.exists()
            assert (used / "task" / "file").is_file()
            assert own.is_dir()
        assert not own.exists()
        living.communicate("", timeout=60)
        assert not used.exists()


def test_what_an_environment_closed_is_removed_as_well(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch("harness-test-") as own:
        (own / "task" / "closed").mkdir(parents=True)
        (own / "task" / "closed" / "file").write_text("x")
        (own / "task" / "closed").chmod(0)
    assert not own.exists()
