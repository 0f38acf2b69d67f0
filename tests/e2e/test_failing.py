"""Closed and full outputs, a disk that fills, files nested too deeply: one line with the fix."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from command import harness

from harness.storage.store import Store

RUN = ("run", "--model", "oracle", "--task", "gsm8k", "--mirror", "fixture")
CLOSED = "harness: standard output is closed: write it to a file or to /dev/null\n"
FULL = "harness: no space left on the device: make room, then repeat the same command\n"


def shell(folder: Path, redirected: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A command as a shell starts it, with descriptors closed or sent elsewhere."""
    command = shlex.join([sys.executable, "-m", "harness", *words])
    env = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
    env["HARNESS_CACHE"] = str(folder / "cache")
    return subprocess.run(
        ["sh", "-c", f"exec {command} {redirected}"],
        cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def ended(folder: Path) -> int:
    with closing(Store(folder / "run.sqlite", readonly=True)) as store:
        return len(store.final_items())


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("played")
    assert harness(folder, *RUN, "--no-report", "--out", "mine").returncode == 0
    return folder


@pytest.mark.parametrize(
    ("redirected", "code", "said"),
    [
        (">&-", 2, CLOSED),
        ("2>&-", 0, ""),
        (">&- 2>&-", 2, ""),
        ("<&- >&- 2>&-", 2, ""),
        (">/dev/full", 3, FULL),
        (">/dev/full 2>/dev/full", 3, ""),
        (">/dev/full 2>&-", 3, ""),
    ],
)
def test_a_report_without_an_output(played: Path, redirected: str, code: int, said: str):
    done = shell(played, redirected, "report", "mine")
    assert (done.returncode, done.stderr) == (code, said)
    assert ("gsm8k" in done.stdout) == (code == 0)


@pytest.mark.parametrize("redirected", ["2>&-", ">&- 2>&-", "2>/dev/full", ">/dev/full 2>/dev/full"])
@pytest.mark.parametrize("words", [("report", "nothing"), ("nothing",), ("report", "--nothing")])
def test_a_failure_that_cannot_be_told_keeps_its_code(played: Path, redirected: str, words: tuple[str, ...]):
    done = shell(played, redirected, *words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@pytest.mark.parametrize(
    ("redirected", "code"),
    [(">&-", 2), ("2>&-", 0), ("<&- >&- 2>&-", 2), ("2>/dev/full", 0), (">/dev/full", 3)],
)
def test_a_run_without_an_output_is_played_to_its_end(tmp_path: Path, redirected: str, code: int):
    done = shell(tmp_path, redirected, *RUN, "--out", "mine")
    assert done.returncode == code, done.stderr
    assert ended(tmp_path / "mine") == 16
    assert "Traceback" not in done.stderr and "unexpected" not in done.stderr


def test_nothing_of_the_output_goes_into_a_file_that_took_its_number(tmp_path: Path):
    assert shell(tmp_path, "<&- >&- 2>&-", *RUN, "--out", "mine").returncode == 2
    for path in (tmp_path / "mine").iterdir():
        assert b"95 % interval" not in path.read_bytes()


# -- a disk that fills


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 300 KB: room for a plan and for some of its episodes."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", folder], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("this user cannot mount a file system")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def test_a_disk_that_fills_stops_the_run_in_words(tmp_path: Path, small_disk: Path):
    done = harness(tmp_path, *RUN, "--no-report", "--repeats", "20", "--out", str(small_disk / "mine"))
    stopped = [line for line in done.stderr.splitlines() if line.startswith("stopped: ")]
    assert stopped and stopped[0].startswith("stopped: cannot write the run's store"), done.stderr
    assert "make room or make it writable, then repeat the same command" in stopped[0]


def test_a_disk_that_fills_loses_nothing_that_was_committed(tmp_path: Path, small_disk: Path):
    words = (*RUN, "--no-report", "--repeats", "20", "--out", str(small_disk / "mine"))
    done = harness(tmp_path, *words)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    kept = ended(small_disk / "mine")
    assert 0 < kept < 320
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    again = harness(tmp_path, *words)
    assert again.returncode == 0, again.stderr
    assert ended(small_disk / "mine") == 320


@pytest.mark.parametrize("limit_kb", [8, 80])
def test_a_disk_without_room_for_a_plan_is_one_line(tmp_path: Path, limit_kb: int):
    """A limit on the size of files stands in for the disk: the write really fails."""
    words = [sys.executable, "-m", "harness", *RUN, "--no-report", "--repeats", "20", "--out", "mine"]
    limited = f"ulimit -f {limit_kb}; exec {shlex.join(words)}"  # in blocks of 512 or 1024 bytes
    done = subprocess.run(["sh", "-c", limited], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr
    assert "the run's store mine/run.sqlite: disk I/O error; " in done.stderr
    assert "room" in done.stderr


# -- files nested too deeply, or otherwise unreadable

DEEP, LONG = 100_000, 3_000
MODELS = {
    "lists": "[m]\ntemplate = " + "[" * DEEP + "]" * DEEP,
    "tables": "[m]\ntemplate = " + "{a = " * DEEP + "1" + "}" * DEEP,
    "keys": "[m]\ntemplate" + ".a" * LONG + " = 1",
    "headers": "[m" + ".a" * LONG + "]\nb = 1",
    "digits": "[m]\ntemplate = " + "9" * 5000,
    "escapes": "[m]\ntemplate = \x1b]0;title\x07",
    "half": "[m",
    "no table": "mine = 3",
}
LINES = {
    "lists": '{"x": ' + "[" * DEEP + "]" * DEEP + "}",
    "objects": '{"a": ' * DEEP + "1" + "}" * DEEP,
    "roles": '{"task": "t", "sample": "s", "replies": [], "roles": {"a/b": ' + "[" * DEEP + "]" * DEEP + "}}",
    "digits": '{"task": "t", "sample": "s", "replies": [], "repeat": ' + "9" * 5000 + "}",
    "ends": '{"task": "t", "sample": "s", "replies": ["x"], "ends": "soon"}',
    "no thought": '{"task": "t", "sample": "s", "replies": [], "ends": "thought"}',
    "list": "[1]",
    "half": '{"task"',
}


def one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.rstrip("\n").isprintable(), done.stderr[:1000]
    for word in words:
        assert word in done.stderr


FIXES = ("correct the file", "known: ", "[m]: Expected `str`", "an entry is a table")


@pytest.mark.parametrize("text", MODELS.values(), ids=MODELS.keys())
def test_a_models_file_that_cannot_be_read_is_named_with_the_fix(tmp_path: Path, text: str):
    (tmp_path / "mine.toml").write_text(text)
    done = harness(tmp_path, "list", "models", HARNESS_MODELS="mine.toml")
    one_line(done, "harness: mine.toml: ")
    assert any(fix in done.stderr for fix in FIXES)


def test_a_folder_in_place_of_the_models_file_is_told_as_one(tmp_path: Path):
    one_line(
        harness(tmp_path, "list", "models", HARNESS_MODELS="."), ". is a folder", "the file, as ./models.toml"
    )


@pytest.mark.parametrize("text", LINES.values(), ids=LINES.keys())
def test_a_replay_line_that_cannot_be_read_is_named_with_the_fix(tmp_path: Path, text: str):
    good = '{"task": "gsm8k", "sample": "test/0", "replies": ["The answer is 1."]}'
    (tmp_path / "mine.jsonl").write_text(f"{good}\n{text}\n")
    words = ("--model", "replay:mine.jsonl", "--task", "gsm8k", "--mirror", "fixture")
    done = harness(tmp_path, "run", *words)
    one_line(
        done, "harness: mine.jsonl:2: not a replay line", 'write one {"task", "sample", "replies": [...]}'
    )
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("text", ["[" * DEEP, "[1]", '"x"', "\x00", '{"chat_template": 5}'])
def test_a_chat_template_that_cannot_be_read_is_named_with_the_fix(tmp_path: Path, text: str):
    (tmp_path / "tokenizer_config.json").write_text(text)
    (tmp_path / "mine.toml").write_text('[m]\ntemplate = "tokenizer_config.json"\nendpoints = ["http://x"]')
    words = ("run", "--model", "m", "--task", "gsm8k", "--mirror", "fixture")
    done = harness(tmp_path, *words, HARNESS_MODELS="mine.toml")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "tokenizer_config.json" in done.stderr
    assert "get it again" in done.stderr or "name a template that ships" in done.stderr


PASSWORD = "hunter2secret"
ADDRESSES = ["http://[x", "http://x:99999", f"http://u:{PASSWORD}@x", f"http://x/?api_key={PASSWORD}"]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("option", ["--endpoint", "--role", "--judge"])
def test_an_address_that_is_none_or_holds_a_key_is_refused_before_it_is_stored(
    tmp_path: Path, option: str, address: str
):
    words = {
        "--endpoint": ("--model", "agentlm-7b", "--endpoint", address),
        "--role": ("--model", "oracle", "--role", f"judge=x@{address}"),
        "--judge": ("--model", "oracle", "--judge", f"x@{address}"),
    }[option]
    done = harness(tmp_path, "run", *words, "--task", "mt_bench", "--mirror", "fixture", "--out", "mine")
    one_line(done, "harness: ")
    assert "write http://host:port" in done.stderr or "put the token in a variable" in done.stderr
    assert PASSWORD not in done.stderr
    assert not (tmp_path / "mine").exists()


def without_locks(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).parent.parent / "support" / "no_locks.py"
    return subprocess.run(
        [sys.executable, script, *words],
        cwd=folder, capture_output=True, text=True, timeout=25, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("words", [(*RUN, "--out", "other"), ("report", "mine")])
def test_a_file_system_without_locks_is_one_line_at_once(played: Path, words: tuple[str, ...]):
    done = without_locks(played, *words)
    folder = "other" if words[0] == "run" else "mine"
    assert done.returncode == 3
    assert done.stderr == (
        f"harness: cannot open the run's store {folder}/run.sqlite: the file system of {folder} has no file "
        "locks; put the run on a local disk\n"
    )
