"""A machine that fails under a run: too few files, processes, memory; a read-only disk; a stop of all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from limited_groups import group, inside, join
from oracle_runs import RUN_S, command, finish, stored, transcripts
from process_tree import below, go_on, stop_all

from harness.storage.store import Store

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts and makes control groups")


def outcomes(out: Path) -> set[str]:
    store = Store(out / "run.sqlite", readonly=True)
    try:
        return {attempt.outcome for attempt in store.attempts()}
    finally:
        store.close()


@contextmanager
def playing(argv: list[str], out: Path, rows: int) -> Iterator[subprocess.Popen[bytes]]:
    """A run that has stored some attempts and still plays; it is killed when anything fails."""
    with subprocess.Popen(argv, stderr=subprocess.PIPE) as running:
        try:
            while stored(out) < rows:
                assert running.poll() is None, "the run was over before it was hit"
                with suppress(subprocess.TimeoutExpired):
                    running.wait(timeout=0.02)
            yield running
        finally:
            running.kill()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("task", ["mind2web", "humaneval"])
def test_a_run_with_too_few_open_files_scores_nothing_wrong(task: str, tmp_path: Path):
    calm, out = tmp_path / "calm", tmp_path / "few"
    finish(command(task, calm), calm)
    limited = ["sh", "-c", 'ulimit -n 54; exec "$@"', "sh", *command(task, out)]
    done = subprocess.run(limited, timeout=RUN_S, check=False, capture_output=True, text=True)
    assert done.returncode in (0, 2, 3), done.stderr
    assert "54 open files are allowed" in done.stderr, done.stderr
    if (out / "run.sqlite").exists():
        expected = transcripts(calm)
        assert all(expected[name] == row for name, row in transcripts(out).items())
    finish(command(task, out), out)
    assert transcripts(out) == transcripts(calm)


@ROOT_ONLY
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_with_too_few_processes_scores_nothing_wrong(tmp_path: Path):
    """Its sandboxes cannot be made, or not all at once: that is no failure of the model."""
    calm, out = tmp_path / "calm", tmp_path / "few"
    finish(command("humaneval", calm), calm)
    with group("pids", pids=12) as few:
        limited = inside(few, command("humaneval", out))
        done = subprocess.run(limited, timeout=RUN_S, check=False, capture_output=True, text=True)
        assert done.returncode in (0, 2, 3), done.stderr
    if (out / "run.sqlite").exists():
        expected = transcripts(calm)
        assert all(expected[name] == row for name, row in transcripts(out).items())
    finish(command("humaneval", out), out)
    assert transcripts(out) == transcripts(calm)


@ROOT_ONLY
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_server_that_is_killed_for_lack_of_memory_costs_nothing(tmp_path: Path):
    """The kernel kills it, as on a machine without memory left."""
    calm, out, more = tmp_path / "calm", tmp_path / "starved", ("--repeats", "4")
    finish(command("dbbench", calm, *more), calm)
    with group("memory", memory_mb=1) as small, playing(command("dbbench", out, *more), out, 1) as running:
        servers = [pid for pid, words in below(running.pid).items() if "mariadbd" in words]
        assert servers
        with suppress(OSError):  # it may be killed while it enters
            join(servers[0], small)
        _, said = running.communicate(timeout=RUN_S)
        assert running.returncode in (0, 3), said
        assert small.ran_out_of_memory(), "the kernel killed nothing"
    finish(command("dbbench", out, *more), out)
    assert transcripts(out) == transcripts(calm)


@ROOT_ONLY
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_file_system_that_turns_read_only_costs_only_what_was_in_flight(tmp_path: Path):
    """As a disk with errors does: files that are open for writing can no longer be written either."""
    disk, calm = tmp_path / "disk", tmp_path / "calm"
    more = ("--repeats", "30")
    finish(command("card_game", calm, *more), calm)
    with mounted(tmp_path / "image", disk):
        out = disk / "run"
        with playing(command("card_game", out, *more), out, 8) as running:
            subprocess.run(["sync", "-f", disk], check=True)  # what the kernel still holds is lost with it
            subprocess.run(["mount", "-o", "remount,abort", disk], check=True)
            _, said = running.communicate(timeout=RUN_S)
        told = said.decode()
        assert running.returncode == 3 and "Traceback" not in told, told
        assert "make it writable, then repeat the same command" in told, told
    subprocess.run(["fsck.ext4", "-y", "-f", tmp_path / "image"], check=False, stdout=subprocess.DEVNULL)
    with mounted(tmp_path / "image", disk, make=False):
        kept = transcripts(disk / "run")
        expected = transcripts(calm)
        assert 0 < len(kept) < len(expected)
        assert all(expected[name] == row for name, row in kept.items())
        finish(command("card_game", disk / "run", *more), disk / "run")
        assert transcripts(disk / "run") == expected


@contextmanager
def mounted(image: Path, folder: Path, *, make: bool = True) -> Iterator[None]:
    """A file system of its own in a file."""
    if make:
        with image.open("wb") as file:
            file.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-o", "loop", image, folder], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("task", "stopped_s"),
    [
        pytest.param("alfworld", 15, marks=pytest.mark.slow),
        *(pytest.param(task, 120, marks=pytest.mark.full) for task in ("alfworld", "dbbench", "miniwob")),
    ],
)
def test_a_run_that_is_stopped_with_all_its_children_goes_on(task: str, stopped_s: int, tmp_path: Path):
    """As a laptop that sleeps: nothing is lost, nothing fails, no transcript changes."""
    calm, out, more = tmp_path / "calm", tmp_path / "stopped", ("--repeats", "4")
    finish(command(task, calm, *more), calm)
    with playing(command(task, out, *more), out, 2) as running:
        stopped = stop_all(running.pid)
        try:
            assert len(stopped) > 1, "the run has no children"
            before = stored(out)
            with suppress(subprocess.TimeoutExpired):  # how long all stand still, not a wait for anything
                running.wait(timeout=stopped_s)
            assert stored(out) == before, "the run was not stopped"
        finally:
            go_on(stopped)
        _, said = running.communicate(timeout=RUN_S)
        assert running.returncode == 0, said
    assert outcomes(out) <= outcomes(calm), "the stop made attempts fail"
    assert transcripts(out) == transcripts(calm)


@pytest.mark.parametrize(
    "words", [("doctor", "dbbench", "--mirror", "fixture"), command("dbbench", Path("out"))[3:]]
)
def test_too_few_open_files_for_a_database_are_told_before_anything_is_sent(
    words: tuple[str, ...], tmp_path: Path
):
    """With fewer, its server would answer statements with that error, which the model would be scored for."""
    limited = ["sh", "-c", 'ulimit -n 300; exec "$@"', "sh", sys.executable, "-m", "harness", *words]
    done = subprocess.run(limited, timeout=RUN_S, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "a process may open only 300, 1024 are needed" in done.stdout + done.stderr
