"""From a folder with everything a user downloaded to data that is ready, in one command."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from checkouts import lay_out, write_programs
from command import FORKS
from slow_endpoint import slow_server

from harness.data import literals

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def harness(tmp_path: Path) -> Call:
    """Runs the command as a new user: an empty HOME, no cache, no mirror."""
    home = tmp_path / "a home with é"
    home.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HARNESS_", "XDG_"))}
    environment["HOME"] = str(home)

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return FORKS.run(words, home, environment)

    return call


@pytest.fixture
def tuning(mirror: Path, tmp_path: Path) -> Path:
    """A checkout of AgentTuning with GSM8K's and MT-Bench's programs."""
    for task in ("gsm8k", "mt_bench"):
        write_programs(tmp_path / "from/AgentTuning", literals(mirror / task / "prompts.json"))
    return tmp_path / "from/AgentTuning"


def rest(status: str) -> str:
    return status.partition("What brings the rest")[2]


UNSERVED = [
    ["agent_h", "test"],
    ["mind2web", "std"],
    ["mind2web", "dev"],
    ["teval", "full"],
    ["teval", "subset"],
    ["webshop", "std,"],
]
"""Tasks and splits whose data stands in no checkout, and in no mirror that a test has."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_four_commands_lead_from_a_clone_to_a_run_of_held_out(mirror: Path, harness: Call, tmp_path: Path):
    """`git clone`, `make demo`, and these; what no public address serves stays out and is named."""
    source = lay_out(mirror, tmp_path / "from")
    with slow_server("0") as (_, url):
        prepare = ("data", "prepare", "--all", "--from", str(source))
        model = ("--model", "agentlm-7b", "--endpoint", url)
        run = ("run", *model, "--suite", "held-out", "--limit", "1", "--ready-only")
        done = [harness(*words) for words in (prepare, run)]
    assert [one.returncode for one in done] == [0, 0], done[-1].stderr
    lacking = [line.split()[:2] for line in harness("data", "status").stdout.splitlines() if "lacks" in line]
    assert lacking == UNSERVED
    assert harness("data", "verify", "webarena").stdout == "webarena: ok\n"
    tasks = json.loads(harness("report", "--format", "json").stdout)["tasks"]
    assert {"sciworld", "miniwob", "hotpotqa", "card_game"} <= {
        n for n, t in tasks.items() if t["score"] is not None
    }


def test_checkouts_are_taken_by_their_own_folder_and_below_a_parent(
    mirror: Path, harness: Call, tuning: Path
):
    school = tuning.parent / "grade-school-math/grade_school_math"
    shutil.copytree(mirror / "gsm8k/grade_school_math", school)
    assert "harness data pull --all" in rest(harness("data", "status").stdout)
    assert harness("data", "prepare", "gsm8k", "--from", str(school.parent)).returncode == 0
    assert "prompts.json" in harness("data", "status").stdout
    done = harness("data", "prepare", "gsm8k", "--from", str(tuning))
    assert done.returncode == 0, done.stderr
    assert harness("data", "verify", "gsm8k").stdout == "gsm8k: ok\n"
    both = harness("data", "prepare", "--all", "--from", str(tuning.parent))
    assert "gsm8k: ready" in both.stdout
    assert "mt_bench: still missing" in both.stdout and "harness data pull mt_bench" in both.stdout


def test_another_commit_is_named_with_what_differs(harness: Call, tuning: Path):
    script = tuning / "eval_general/eval_gsm8k_tgi.py"
    script.write_text(script.read_text().replace("x = '", "x = 'another "))
    done = harness("data", "prepare", "--all", "--from", str(tuning))
    assert done.returncode == 2
    assert "prompts.json is corrupt" in done.stderr
    assert f"{tuning} is not AgentTuning at commit e33a45d7" in done.stderr
    assert "mt_bench" in done.stdout, "the other tasks are prepared all the same"


def test_a_folder_with_nothing_usable_and_one_that_is_not_there(harness: Call, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    nothing = harness("data", "prepare", "--all", "--from", str(tmp_path / "empty"))
    assert nothing.returncode == 2
    assert "can be used; looked for checkouts of AgentBench, AgentTuning, BOLAA" in nothing.stderr
    absent = harness("data", "prepare", "--all", "--from", "nowhere")
    assert (absent.returncode, "nowhere is not there" in absent.stderr) == (2, True)
    torn = tmp_path / "data.tar"
    torn.write_bytes(b"ustar" * 1000)
    done = harness("data", "prepare", "mmlu", "--from", str(torn))
    assert (done.returncode, "is not a whole archive, get it again" in done.stderr) == (2, True)


def test_a_read_only_cache_and_contradictory_words_are_one_line(harness: Call, tuning: Path, tmp_path: Path):
    both = harness("data", "prepare", "gsm8k", "--all", "--from", str(tuning))
    assert (both.returncode, "leave out gsm8k, or --all" in both.stderr) == (2, True)
    blocked = tmp_path / "a home with é/.cache"
    blocked.write_text("a file where the cache should be")
    done = harness("data", "prepare", "gsm8k", "--from", str(tuning))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr


def under_modes(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command whose user the modes of folders bind; they do not bind root as it is."""
    caps = "-dac_override,-dac_read_search"
    bound = ["setpriv", "--inh-caps", caps, "--bounding-set", caps] if os.geteuid() == 0 else []
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HARNESS_")}
    environment["HARNESS_CACHE"] = str(cwd / "cache")
    command = [*bound, sys.executable, "-m", "harness", *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)


def test_a_cache_that_cannot_be_written_is_told_before_anything_is_fetched_or_sent(
    tmp_path: Path, tuning: Path
):
    (tmp_path / "cache").mkdir(mode=0o555)
    told = "cannot be written (Permission denied): HARNESS_CACHE names another place"
    pulled = under_modes(tmp_path, "data", "pull", "gsm8k")
    assert (pulled.returncode, told in pulled.stderr) == (2, True), pulled.stderr
    assert "https://" not in pulled.stderr, "nothing was asked for"
    prepared = under_modes(tmp_path, "data", "prepare", "gsm8k", "--from", str(tuning))
    assert prepared.returncode == 2 and prepared.stderr.endswith(f"{told}\n")
    assert len(prepared.stderr.splitlines()) == 1
    both = ("run", "--model", "oracle", "--task", "gsm8k", "--task", "webshop", "--mirror", "fixture")
    played = under_modes(tmp_path, *both, "--limit", "1", "--ready-only", "--no-report", "--out", "r")
    assert played.returncode == 0, played.stderr
    assert "left out: webshop: room in the cache" in played.stderr, "it would be built there"
    assert "all episodes done" in played.stderr, "GSM8K needs no room"


def test_offline_a_fetch_names_what_to_bring_and_the_fixture_plays(tmp_path: Path):
    with (
        socket.socket() as deaf
    ):  # bound but not listening: every connection is refused, as without a network
        deaf.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        environment = {"HTTPS_PROXY": away, "HTTP_PROXY": away, "HARNESS_CACHE": str(tmp_path / "cache")}
        pulled = FORKS.run(("data", "pull", "gsm8k"), tmp_path, os.environ | environment)
        assert pulled.returncode == 2 and "Traceback" not in pulled.stderr
        assert "cannot be fetched" in pulled.stderr
        place = tmp_path / "cache/data/gsm8k/grade_school_math/data/test.jsonl"
        assert f"repeat the command, or bring the file to {place}" in pulled.stderr
        words = ("run", "--model", "oracle", "--task", "gsm8k", "--mirror", "fixture", "--limit", "1")
        played = FORKS.run((*words, "--no-report", "--out", "r"), tmp_path, os.environ | environment)
        assert (played.returncode, "all episodes done" in played.stderr) == (0, True), played.stderr
