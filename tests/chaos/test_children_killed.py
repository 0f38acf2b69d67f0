"""Kill -9 of every kind of child while a run plays: nothing is lost, doubled or changed."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from oracle_runs import command, finish, stored, transcripts
from process_tree import below, is_outside

SEED = 20231021


@dataclass(frozen=True)
class Kind:
    """One kind of child.

    Attributes:
        task: whose run has such children.
        pattern: found in the command line of each of them.
        pace: how many of its episodes are played while one of the slow kinds plays one.
    """

    task: str
    pattern: str
    pace: int = 1


KINDS = {
    "worker": Kind("alfworld", r" -m harness\.worker tasks\.alfworld"),
    "page worker": Kind("mind2web", r" -m harness\.worker tasks\.mind2web", pace=5),
    "jvm": Kind("sciworld", r"^\S*java .*-Xmx"),
    "browser": Kind("miniwob", r"^\S*(?:chrom\S*|headless[-_]shell) (?!.*--type=)"),
    "browser tab": Kind("miniwob", r" --type=renderer "),
    "browser driver": Kind("miniwob", r"playwright/driver/node"),
    "database": Kind("dbbench", r"mariadbd .*--datadir", pace=5),
    "sandbox": Kind("os", r"^\S*bwrap ", pace=5),
    "fork server": Kind("os", r"sandbox\.fork_server \d+ --read-only", pace=5),
    "program's sandbox": Kind("humaneval", r"^\S*bwrap ", pace=5),
}
FEW, MANY = 3, 50


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    "kills", [pytest.param(FEW, marks=pytest.mark.slow), pytest.param(MANY, marks=pytest.mark.full)]
)
def test_a_run_whose_children_are_killed_ends_as_the_undisturbed_one(name: str, kills: int, tmp_path: Path):
    kind = KINDS[name]
    print(f"{kills} kills of {name}, seed {SEED}")  # noqa: T201 - how to make the failure again
    more = ("--repeats", str(3 if kills == FEW else 3 * kind.pace))
    calm = tmp_path / "calm"
    finish(command(kind.task, calm, *more), calm)
    expected = transcripts(calm)

    done = 0
    for n in range(3 * kills):  # a run may end before it was hit often enough: then another one is hit
        out = tmp_path / f"killed {n}"
        argv = command(kind.task, out, *more)
        done += kill_while_playing(argv, out, kind.pattern, kills - done, random.Random(f"{SEED} {n}"))
        finish(argv, out)
        assert transcripts(out) == expected
        if done == kills:
            return
    pytest.fail(f"only {done} children were killed")


def kill_while_playing(
    argv: Sequence[str], out: Path, pattern: str, kills: int, chance: random.Random
) -> int:
    """Start a run, and kill one of its children after each attempt that it stores, until it ends.

    Returns how many were killed.
    """
    done = seen = 0
    with subprocess.Popen(argv) as running:
        try:
            while running.poll() is None:
                if done < kills and stored(out) > seen and kill_one(running, pattern, chance):
                    done, seen = done + 1, stored(out)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    running.wait(timeout=chance.uniform(0.01, 0.1))
        finally:
            running.kill()
    assert running.returncode in (0, 3), f"the run ended with {running.returncode}"
    return done


def kill_one(running: subprocess.Popen[bytes], pattern: str, chance: random.Random) -> bool:
    """Kill one of the children that a pattern finds; whether there was one."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(timeout=chance.uniform(0.0, 0.2))
    found = sorted(pid for pid, words in below(running.pid).items() if re.search(pattern, words))
    # What runs in a sandbox the model itself can kill: that is scored.
    victims = [pid for pid in found if is_outside(pid)]
    if not victims:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(chance.choice(victims), signal.SIGKILL)
        return True
    return False
