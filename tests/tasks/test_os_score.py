"""The OS task's reading of replies, its graders and its problem files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from contexts import samples_of, task_context
from hypothesis import given
from hypothesis import strategies as st

import tasks.os
from harness.data import quiet
from harness.errors import DataError
from harness.types import Context
from tasks._shared.sandbox.terminal_text import clean, command_lines, quoted
from tasks.os import prepare, rows
from tasks.os import score as scoring
from tasks.os.action import OsAction, parse
from tasks.os.prompts import shorten
from tasks.os.task import TASK

FIXTURE = Path(tasks.os.__file__).parent / "fixture"
TOP = rows.TOP / "data"


@pytest.mark.parametrize(
    ("reply", "action"),
    [
        ("Think: x\n\nAct: bash\n\n```bash\nls\n```", OsAction("bash", "ls")),
        ("Act: bash\n```bash\na\n```\ntext\n```bash\nb\nc\n```", OsAction("bash", "a\n\nb\nc")),
        ("Act: bash\n```sh\nls\n```", OsAction("bash", "")),
        ("Act: bash\n```bash\n```", OsAction("bash", "")),
        ("Act: bash\n```bash\n\n```", OsAction("bash", "")),
        ("Act: bashful", OsAction("bash", "")),
        ("Act: BASH", OsAction("bash", "")),
        ("act: bash", OsAction("invalid")),
        ("Act: finished, I think", OsAction("finish")),
        ("Act: answer(220)", OsAction("answer", "220")),
        ("Act: answer( a (b) c ) and so on)", OsAction("answer", " a (b) c ) and so on")),
        ("Act: answer()", OsAction("answer", "")),
        ("Act: answer 220", OsAction("invalid")),
        ("Act: bash\n```bash\nls\n```\nAct: answer 220", OsAction("bash", "ls")),
        ("Act: answer(one\ntwo)", OsAction("invalid")),
        ("Act: bash\nAct: answer(3)", OsAction("answer", "3")),
        ("Act:\n\nfinish", OsAction("finish")),
        ("Act: think again", OsAction("invalid")),
        ("", OsAction("invalid")),
    ],
)
def test_the_last_usable_act_decides(reply: str, action: OsAction) -> None:
    assert parse(reply) == action


@pytest.mark.timeout(60)  # quadratic would take hours
@pytest.mark.parametrize("piece", ["Act: bash\n```bash\n", "```bash\n", "Act: ", "Act:\n", "Act: answer("])
def test_a_hostile_reply_is_read_in_linear_time(piece: str) -> None:
    assert parse(piece * (2_000_000 // len(piece))).kind in ("bash", "invalid", "answer")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece", ["\r", "\x1b", "\x1b]", "\x1b[", "\x1b[0", "\x1bP", "\r\n", "\x1b[?2004l\r"]
)
def test_hostile_output_is_cleaned_in_linear_time(piece: str) -> None:
    assert "\x1b" not in clean(piece * (2_000_000 // len(piece)))


def test_800_characters_are_shown_and_801_are_cut() -> None:
    assert shorten("x" * 800, "[cut]") == "x" * 800
    assert shorten("x" * 801, "[cut]") == "x" * 780 + "[cut]"


@pytest.mark.parametrize(
    ("name", "answer", "expected", "verdict"),
    [
        ("integer-match", " 42\n", "42\n", True),
        ("integer-match", "42 files", "42", False),
        ("integer-match", "42.0", "42", False),
        ("integer-match", "None", "0", False),
        ("integer-match", "-0", "0", True),
        ("integer-match", "9" * 5000, "9" * 5000, False),
        ("string-match", " yes\r\nno ", "yes\nno\n", True),
        ("string-match", "Yes", "yes", False),
        ("size-match", "350M", "350M\n", True),
        ("size-match", "1024K", "1M", True),
        ("size-match", "12KB", "12K", False),
        ("size-match", "4.0K", "4.0K", False),
        ("size-match", "7 Byte", "7", True),
        ("size-match", "7B", "7", True),
        ("size-match", "", "", False),
    ],
)
def test_graders(name: str, answer: str, expected: str, verdict: bool) -> None:
    assert scoring.grade(name, [answer, expected]) is verdict


def test_a_grader_without_an_expected_value_fails() -> None:
    assert not scoring.grade("string-match", ["x"])


@pytest.mark.parametrize(
    ("answer", "verdict"), [("no", True), (" no\n", True), ("No", False), ("", False), (None, False)]
)
def test_match(answer: str | None, verdict: bool) -> None:
    assert scoring.matches(answer, "no") is verdict


@given(st.text(max_size=3000))
def test_typed_lines_are_short_and_free_of_control_characters(script: str) -> None:
    for line in command_lines(script):
        assert line.endswith(b"\n") and len(line) < 4095
        assert all(byte >= 32 and byte != 127 for byte in line[:-1])


def test_quoting() -> None:
    assert quoted("a'b\\\n\0é") == b"$'a\\'b\\\\\\012\xc3\xa9'"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a\r\nb\r\n", "a\nb\n"),
        ("\x1b[01;34mbin\x1b[0m\r\n", "bin\n"),
        ("\x1b]0;title\x07x\x1b[2J\x1bc\x08", "x"),
        ("\x1bP+q\x1b\\y\x00\x7f", "y"),
        ("\r\n\x1b[?2004l\rwhoami\r\n\x1b[?2004h", "whoami\n"),
    ],
)
def test_control_sequences_are_removed(raw: str, shown: str) -> None:
    assert clean(raw) == shown


# --- the problem files


def context(data: Path) -> Context:
    return task_context(TASK, data)


def test_the_fixtures_problems() -> None:
    names = [sample.id for sample in samples_of(TASK, context(FIXTURE), "std")]
    assert names[0] == "1/orders/0" and names[-1] == "7/made/0" and len(names) == 8
    assert [sample.id for sample in samples_of(TASK, context(FIXTURE), "dev")] == ["dev/dev/0"]


def test_144_and_26_problems_none_without_its_scripts(mirror: Path) -> None:
    std = [sample.data["problem"] for sample in samples_of(TASK, context(mirror / "os"), "std")]
    dev = samples_of(TASK, context(mirror / "os"), "dev")
    assert (len(std), len(dev), len({problem.id for problem in std})) == (144, 26, 144)
    per_directory = [sum(problem.id.startswith(f"{n}/") for problem in std) for n in range(1, 8)]
    assert per_directory == [7, 5, 6, 19, 10, 9, 88]
    assert sum(problem.match is not None for problem in std) == 9
    assert sum(problem.match is None and len(problem.checks) > 0 for problem in std) == 135
    graders = [check.grader for problem in std for check in problem.checks if check and check.grader]
    assert [graders.count(f"{kind}-match") for kind in ("integer", "string", "size")] == [113, 9, 1]
    # A check that asks for the example needs one; every script that is no grader has code.
    assert all(problem.example for problem in std if None in problem.checks)
    assert all(s.code or s.grader for p in std for s in (*p.init, *filter(None, p.checks)))
    assert {name for name in scoring.CORRECTIONS} <= {problem.id for problem in std}
    for problem in std:
        if problem.id in scoring.CORRECTIONS:
            assert scoring.corrected(problem) != problem.example.code


def test_an_absent_script_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / TOP / "1"
    folder.mkdir(parents=True)
    (tmp_path / "scripts.json").write_text("{}")
    item = {"description": "d", "create": {"init": {"file": "init/x.sh"}}, "evaluation": {"match": "1"}}
    (folder / "a.json").write_text(json.dumps([item]))
    with pytest.raises(DataError, match=r"1/a/0: its script scripts/1/init/x\.sh is absent"):
        rows.load(tmp_path, "std")


def test_prepare_makes_the_mirrors_scripts(mirror: Path, tmp_path: Path) -> None:
    checkout, wanted = tmp_path / "checkout", (mirror / "os/scripts.json").read_bytes()
    for name, text in json.loads(wanted).items():
        path = (checkout / prepare.SCRIPTS).parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    program = checkout / prepare.SOURCE
    program.parent.mkdir(parents=True)
    body = "\n        ".join(f"x = 'text {n}'" for n in range(28))
    program.write_text(
        "ONE_SHOT = [{'role': 'user', 'content': 'q'}]\nclass OSInteraction:\n  def _judge(self):\n"
        f"      def get_answer():\n        {body}\n"
    )
    scripts, prompts = prepare.prepare(checkout, tmp_path / "out", quiet)
    assert scripts.read_bytes() == wanted
    assert len(json.loads(prompts.read_text())) == 8
    program.unlink()
    with pytest.raises(DataError, match="AgentTuning checkout"):
        prepare.prepare(checkout, tmp_path / "out", quiet)
