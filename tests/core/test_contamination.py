"""`harness contamination` on planted questions: what the rules find, against a second computation."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import planted
import pytest
from command import harness
from planted import QUESTIONS, changed, talk

from harness.checks.contamination import tokens
from harness.errors import UsageError

PLANTED = [
    talk(f"Please answer.\n{QUESTIONS[0]}", "no"),
    talk(changed(QUESTIONS[1], (8, 17, 26, 35)), "no"),  # no run of ten words is left
    talk(" ".join(QUESTIONS[2].split()[:20]), " ".join(QUESTIONS[2].split()[20:])),
    talk(QUESTIONS[3].upper()),
    talk(f"It began so: {QUESTIONS[4]}, and then it went on. " * 2),
    talk(changed(QUESTIONS[5], (0, 1, 2, 20))),  # runs of 17 and 19 words: 36 of 40
    talk(changed(QUESTIONS[6], (10, 15, 20, 24))),  # runs of 10 and 15 words: 25 of 40
]
SHARES = [40, 0, 40, 40, 40, 36, 25, 0]
"""Covered words under `llama2`, counted by hand."""


def checked(folder: Path, *words: str) -> dict[str, dict]:
    """The findings in JSON."""
    done = harness(
        folder, "contamination", *words, "--task", "quiz.toml", "--format", "json", "--worst", "99"
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("planted")
    planted.quiz(found)
    rows = [*planted.clean(1000), *PLANTED]
    random.Random(1).shuffle(rows)
    planted.written(found / "train.jsonl", rows)
    planted.written(found / "clean.jsonl", planted.clean(1000))
    return found


def by_hand(rows: list[str], question: str, span: int) -> int:
    """Covered words of a question: the definition, word for word and without any hash."""
    tokens = re.findall(r"\w+", question.lower())
    covered: set[int] = set()
    for text in rows:
        said = re.findall(r"\w+", text.lower())
        runs = {tuple(said[at : at + span]) for at in range(len(said) - span + 1)}
        for at in range(len(tokens) - span + 1):
            if tuple(tokens[at : at + span]) in runs:
                covered |= set(range(at, at + span))
    return len(covered)


def test_planted_questions_are_found_as_the_rule_says(folder: Path):
    task = checked(folder, "train.jsonl")["tasks"]["quiz"]
    covered = {one["sample"]: one["covered"] for one in task["worst"]}
    assert [covered.get(f"test/{n}", 0) for n in range(8)] == SHARES
    assert task["dirty_samples"] == [f"test/{n}" for n in (0, 2, 3, 4, 5)]
    assert (task["dirty"], task["between"], task["clean"], task["short"]) == (5, 1, 2, 0)


@pytest.mark.parametrize(("rule", "span"), [("llama2", 10), ("ngram13", 13)])
def test_the_same_as_a_second_computation(folder: Path, rule: str, span: int):
    lines = (folder / "train.jsonl").read_text().splitlines()
    texts = [turn["value"] for line in lines for turn in json.loads(line)["conversations"]]
    found = checked(folder, "train.jsonl", "--rule", rule)
    covered = {one["sample"]: one["covered"] for one in found["tasks"]["quiz"]["worst"]}
    assert {n: covered.get(f"test/{n}", 0) for n in range(8)} == {
        n: by_hand(texts, question, span) for n, question in enumerate(QUESTIONS)
    }
    assert found["rule"]["name"] == rule
    assert (found["rows"], found["rows_found"]) == (1007, 6)


def test_ngram13_takes_any_run(folder: Path):
    task = checked(folder, "train.jsonl", "--rule", "ngram13")["tasks"]["quiz"]
    assert task["dirty_samples"] == [f"test/{n}" for n in (0, 2, 3, 4, 5, 6)]


def test_none_of_a_thousand_clean_rows_is_found(folder: Path):
    found = checked(folder, "clean.jsonl")
    assert (found["rows"], found["rows_found"]) == (1000, 0)
    assert found["tasks"]["quiz"]["clean"] == 8


def test_the_order_of_rows_and_files_changes_nothing(folder: Path):
    lines = (folder / "train.jsonl").read_text().splitlines()
    random.Random(2).shuffle(lines)
    (folder / "half1.jsonl").write_text("\n".join(lines[:500]))
    (folder / "half2.jsonl").write_text("\n".join(lines[500:]))
    whole, other = checked(folder, "train.jsonl"), checked(folder, "half2.jsonl", "half1.jsonl")
    assert {**whole, "files": []} == {**other, "files": []}


def test_the_matching_text_is_the_questions_own(folder: Path):
    worst = {one["sample"]: one for one in checked(folder, "train.jsonl")["tasks"]["quiz"]["worst"]}
    assert worst["test/3"]["text"] == QUESTIONS[3], "in its own casing"
    assert worst["test/5"]["text"] == " ".join(QUESTIONS[5].split()[21:])


def test_cl100k_finds_what_is_written_the_same_way(folder: Path, mirror: Path):
    found = checked(folder, "train.jsonl", "--tokens", "cl100k", "--mirror", str(mirror))
    dirty = found["tasks"]["quiz"]["dirty_samples"]
    assert {"test/0", "test/2", "test/4"} <= set(dirty)
    assert "test/3" not in dirty, "another casing has other tokens"


@pytest.mark.timeout(60)
def test_a_word_of_megabytes_takes_no_minutes(mirror: Path):
    cl100k = tokens.find("cl100k", str(mirror))
    assert len(cl100k.cut("a" * 1_000_000)) > 10_000
    text = f"{QUESTIONS[0]} " * 400  # longer than what is encoded at a time
    assert cl100k.excerpt(text, 0, 10**6) == text


def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UsageError, match=str(tmp_path)):  # its package may be missing as well
        tokens.find(str(tmp_path))


def test_scores_of_a_run_by_what_was_found(folder: Path):
    replies = [
        {"task": "quiz", "sample": f"test/{n}", "replies": ["yes" if n in (0, 2, 3, 7) else "no"]}
        for n in range(8)
    ]
    planted.written(folder / "replies.jsonl", replies)
    words = "--model", "replay:replies.jsonl", "--task", "quiz.toml", "--out", "run", "--no-report"
    assert harness(folder, "run", *words).returncode == 0
    scores = checked(folder, "train.jsonl", "--run", "run")["scores"]["quiz"]
    told = {name: (one["n"], one["score"]) for name, one in scores.items()}
    assert told == {"all": (8, 50.0), "dirty": (5, 60.0), "between": (1, 0.0), "clean": (2, 50.0)}
    table = harness(folder, "contamination", "train.jsonl", "--task", "quiz.toml", "--run", "run")
    assert "dirty 60.00" in table.stdout and "clean 50.00" in table.stdout
    assert "rule llama2" in table.stdout and "recalled, not verified" in table.stdout
