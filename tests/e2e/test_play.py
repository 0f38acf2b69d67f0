"""A person plays through a pseudo-terminal: what is typed is the reply, and the saved line replays."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from command import harness
from screen import Terminal

from harness.cli.play_screen import PlayScreen
from harness.models.local.answers import read_replay
from harness.storage.store import Store

SLOW = pytest.mark.slow


def playing(folder: Path, *words: str, **variables: str) -> Terminal:
    command = [sys.executable, "-m", "harness", "play", *words]
    environment = {"HARNESS_CACHE": str(folder / "cache"), "HARNESS_MIRROR": "fixture"} | variables
    return Terminal(command, folder, columns=200, rows=50, environment=environment)


def types(terminal: Terminal, text: str) -> None:
    """Type a reply of any number of lines."""
    block = f'"""\n{text}\n"""\n' if "\n" in text else f"{'/' * text.startswith('/')}{text}\n"
    terminal.types(block)


def oracle(folder: Path, task: str) -> list[str]:
    """The oracle's replies to a task's first sample."""
    words = ("--task", task, "--limit", "first:1", "--mirror", "fixture", "--no-report", "--out", "oracle")
    done = harness(folder, "run", "--model", "oracle", *words)
    assert done.returncode == 0, done.stderr
    assert harness(folder, "export", "oracle", "oracle.jsonl", "--format", "replay").returncode == 0
    return json.loads((folder / "oracle.jsonl").read_text())["replies"]


def scores(folder: Path, run: str) -> list[tuple[str, float | None, dict[str, float]]]:
    with closing(Store(folder / run / "run.sqlite", readonly=True)) as store:
        return [(a.outcome, a.value, dict(a.metrics)) for a in store.attempts(final_only=True)]


@pytest.mark.parametrize(
    "task", ["gsm8k", "card_game", pytest.param("alfworld", marks=SLOW), pytest.param("sciworld", marks=SLOW)]
)
def test_a_played_sample_replays_to_the_same_score(tmp_path: Path, task: str):
    replies = oracle(tmp_path, task)
    with playing(tmp_path, task, "--out", "mine.jsonl") as terminal:
        for turn, reply in enumerate(replies, 1):
            terminal.shows(f"--- turn {turn}")
            types(terminal, reply)
        terminal.shows("--- scored, value ", within_s=120)
        assert terminal.ended() == 0
    assert json.loads((tmp_path / "mine.jsonl").read_text())["replies"] == replies
    words = ("--task", task, "--limit", "first:1", "--mirror", "fixture", "--no-report", "--out", "again")
    assert harness(tmp_path, "run", "--model", "replay:mine.jsonl", *words).returncode == 0
    assert scores(tmp_path, "again") == scores(tmp_path, "oracle") != []


def test_commands_many_lines_and_choices(tmp_path: Path):
    with playing(tmp_path, "gsm8k", "test/0") as terminal:
        terminal.shows("--- turn 1")
        terminal.shows("messages of examples: /prompt shows them")
        types(terminal, "one\\")
        terminal.shows("|")
        terminal.types("/help\n")  # as a second line it is no command
        assert terminal.ended() == 0
    (line,) = (json.loads(path.read_text()) for path in tmp_path.glob("play-gsm8k-test_0*.jsonl"))
    assert line["replies"] == ["one\n/help"]
    with playing(tmp_path, "mmlu") as terminal:
        for command, says in (
            ("/prompt", "[INST]"),
            ("/info", "{}"),
            ("/oracle", " A"),
            ("/undo", "no such command: /undo"),
            ("E", "one of these, please:  A   B   C   D"),
        ):
            terminal.until(lambda screen: [line for line in screen.lines if line][-1:] == [">"])
            terminal.types(f"{command}\n")
            terminal.shows(says)
        terminal.types("b\n")
        terminal.shows("value ")
        assert terminal.ended() == 0


@pytest.mark.parametrize(
    ("task", "key", "code"),
    [
        ("card_game", "\x04", 3),
        ("card_game", "ctrl-c", 130),
        pytest.param("sciworld", "ctrl-c", 130, marks=SLOW),
    ],
)
def test_leaving_closes_the_environment_and_keeps_the_replies(tmp_path: Path, task: str, key: str, code: int):
    work = tmp_path / "tmp"
    work.mkdir()
    with playing(tmp_path, task, "--out", "mine.jsonl", TMPDIR=str(work)) as terminal:
        terminal.shows("--- turn 1")
        types(terminal, "hello")
        terminal.shows("--- turn 2")
        children = descendants(terminal.process.pid)
        terminal.interrupt() if key == "ctrl-c" else terminal.types(key)
        terminal.shows("ended early (Left: ")
        assert terminal.ended() == code
    assert not [path for path in work.iterdir() if path.suffix != ".lock"], "nothing is left"
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    recorded = read_replay(tmp_path / "mine.jsonl")
    (line,) = recorded.values()
    assert (line.replies, line.ends) == (["hello"], "stopped")


def descendants(pid: int) -> list[int]:
    done = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    direct = [int(word) for word in done.stdout.split()]
    return [*direct, *(below for child in direct for below in descendants(child))]


def test_what_cannot_be_played_is_one_line(tmp_path: Path):
    done = harness(tmp_path, "play", "gsm8k", "--mirror", "fixture")
    assert (done.returncode, "a person plays at a terminal" in done.stderr) == (2, True), done.stderr
    (tmp_path / "there").touch()
    for words, says in (
        (("gsm8k", "test/999"), "test/99"),
        (("gsm9k",), "did you mean gsm8k"),
        (("gsm8k", "--out", "there"), "there exists: give another --out"),
        (("gsm8k", "--out", "no/x"), "cannot write no/x"),
        (("gsm8k", "--mirror", "nowhere"), "nowhere"),
    ):
        with playing(tmp_path, *words) as terminal:
            terminal.shows(says)
            assert terminal.ended() == 2
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("cache", "there")] == []


def test_a_person_also_plays_a_role(tmp_path: Path):
    with playing(tmp_path, "rewoo", "--role", "tool_llm=self", "--out", "mine.jsonl") as terminal:
        terminal.shows("--- turn 1")
        types(terminal, "Plan: Ask.\n#E1 = LLM[Who was the architect of Pell Lighthouse?]")
        terminal.shows("--- the role tool_llm (")
        terminal.shows("Who was the architect of Pell Lighthouse?")
        types(terminal, "Nobody knows.")
        terminal.shows("--- turn 2")
        types(terminal, "Dorrin")
        terminal.shows("--- scored, value 1 ")
        assert terminal.ended() == 0
    line = json.loads((tmp_path / "mine.jsonl").read_text())
    assert list(line["roles"].values()) == ["Nobody knows."]
    words = ("--task", "rewoo", "--limit", "first:1", "--mirror", "fixture", "--no-report", "--out", "again")
    role = "--role=tool_llm=replay:mine.jsonl"
    assert harness(tmp_path, "run", "--model", "replay:mine.jsonl", *words, role).returncode == 0
    assert [value for _, value, _ in scores(tmp_path, "again")] == [1.0]


def test_what_an_environment_shows_steers_no_terminal(capsys: pytest.CaptureFixture[str]):
    PlayScreen().show("a page\nwith \x1b[31mred\x07 and \u202eleft")
    shown = capsys.readouterr().out
    assert shown.startswith("a page\nwith ") and "red" in shown
    assert not any(sign in shown for sign in "\x1b\x07\u202e")
