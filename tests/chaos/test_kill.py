"""Kill -9 at random moments: the same command resumes, and nothing is lost, doubled or changed."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from killed_runs import finals, is_unfolded, kill
from oracle_runs import transcripts
from slow_endpoint import slow_server

DELAY_S, IN_FLIGHT = 0.25, 4


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with slow_server(str(DELAY_S)) as (_, address):
        yield address


def command(url: str, repeats: int, out: Path) -> list[str]:
    return [
        sys.executable, "-m", "harness", "-q", "run", "--model", "agentlm-7b", "--endpoint", url,
        "--task", "gsm8k", "--mirror", "fixture", "--repeats", str(repeats),
        "--concurrency", str(IN_FLIGHT), "--out", str(out),
        "--no-report",
    ]  # fmt: skip


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("kills", "repeats", "seed"),
    [
        (5, 5, 20231019),
        pytest.param(20, 20, 20231019, marks=pytest.mark.slow),
        pytest.param(200, 200, 20231020, marks=pytest.mark.full),
    ],
    ids=lambda value: str(value),
)
def test_a_killed_run_resumes_to_the_same_rows(kills: int, repeats: int, seed: int, url: str, tmp_path: Path):
    calm, out = tmp_path / "calm", tmp_path / "killed"
    with slow_server("0") as (_, fast):
        subprocess.run(command(fast, repeats, calm), check=True, timeout=900)
    expected = finals(calm)
    assert len({row[3] for row in expected}) > 1, "all scores are equal: nothing would be shown"

    chance, middle, unfolded = random.Random(seed), 0, 0
    for n in range(kills):
        playing = n % 7 != 3  # most kills hit a run that plays, some one that still starts
        kill(command(url, repeats, out), out, chance.uniform(0.0, 0.8), playing=playing)
        middle += 0 < len(finals(out)) < len(expected)
        unfolded += is_unfolded(out)
    print(f"{middle} of {kills} kills hit the run in its middle, seed {seed}")  # noqa: T201
    assert middle >= 0.75 * kills, "too few kills hit the run in its middle"
    assert unfolded >= 0.75 * kills, "too few kills left something for the next command to recover"
    done = subprocess.run(command(url, repeats, out), timeout=900, check=False)
    assert done.returncode == 0
    assert finals(out) == expected
    assert transcripts(out) == transcripts(calm)
