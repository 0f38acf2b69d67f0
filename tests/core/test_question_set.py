"""A question set: a JSONL file and a TOML file beside it run, report and resume without any Python."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest
from command import harness
from contexts import task_context
from packages import install

from harness.authoring.question_set import QuestionSet, read_form
from harness.errors import DataError
from harness.types import Reply

FORM = """
id = "capitals"
title = "Capitals of the world"
data = "capitals.jsonl"
question = "What is the capital of {country}?"
answer = "capital"
"""
ROWS = (
    {"country": "France", "capital": "Paris"},
    {"country": "Peru", "capital": ["Lima", "Ciudad de los Reyes"]},
    {"country": "Togo", "capital": "Lomé"},
)


def write(folder: Path, form: str = FORM, rows: object = ROWS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "capitals.toml").write_text(form, encoding="utf-8")
    lines = rows if isinstance(rows, str) else "".join(f"{json.dumps(row)}\n" for row in rows)
    (folder / "capitals.jsonl").write_text(lines, encoding="utf-8")
    return folder / "capitals.toml"


def report(cwd: Path, run: str) -> dict:
    return json.loads(harness(cwd, "report", run, "--format", "json").stdout)["tasks"]["capitals"]


def test_it_runs_reports_and_resumes(tmp_path: Path) -> None:
    path = str(write(tmp_path / "sets"))
    replies = {"test/0": "PARIS.", "test/1": "the Ciudad de los Reyes", "test/2": "Accra"}
    lines = [json.dumps({"task": "capitals", "sample": k, "replies": [v]}) for k, v in replies.items()]
    (tmp_path / "some.jsonl").write_text("\n".join(lines[:2]))
    words = ["run", "--model", "replay:some.jsonl", "--task", path, "--out", "r"]
    harness(tmp_path, *words)
    assert report(tmp_path, "r")["scored"] == 2
    (tmp_path / "some.jsonl").write_text("\n".join(lines))
    done = harness(tmp_path, *words, "--retry", "infra")
    assert done.returncode == 0, done.stderr
    line = report(tmp_path, "r")
    assert (line["score"], line["scored"]) == (pytest.approx(200 / 3), 3)
    assert "not installed" not in json.dumps(line)
    assert harness(tmp_path, *words).returncode == 0
    with sqlite3.connect(tmp_path / "r" / "run.sqlite") as store:
        kept = store.execute("select answer, target from episode where final order by sample").fetchall()
        prints = json.loads(dict(store.execute("select key, value from meta"))["fingerprint/capitals"])
    assert kept[0] == ("PARIS.", "Paris")
    assert kept[1][1] == "Lima | Ciudad de los Reyes"
    raw = (tmp_path / "sets" / "capitals.jsonl").read_bytes()
    assert prints["capitals.jsonl"] == hashlib.sha256(raw).hexdigest()
    # Other questions are another run: nothing of the two is mixed.
    write(tmp_path / "sets", rows=[{"country": "France", "capital": "Lyon"}, *ROWS[1:]])
    other = harness(tmp_path, *words)
    assert other.returncode == 2 and "tasks.capitals.data" in other.stderr


def test_a_run_reports_when_its_file_is_gone(tmp_path: Path) -> None:
    path = write(tmp_path / "sets")
    assert harness(tmp_path, "run", "--model", "oracle", "--task", str(path), "--out", "r").returncode == 0
    path.unlink()
    assert report(tmp_path, "r")["score"] == 100.0


def test_a_package_registers_one_and_puts_it_into_a_suite(tmp_path: Path) -> None:
    write(tmp_path / "source")
    files = {p.name: p.read_text() for p in (tmp_path / "source").iterdir()}
    files["suites.toml"] = '[places]\ntasks = ["capitals"]\noverall = "mean"\n'
    entries = {"harness.tasks": {"capitals": "places:capitals.toml"}, "harness.suites": {"places": "places"}}
    install(tmp_path / "site", "places", files, entries)
    assert "capitals" in harness(tmp_path, "list", "tasks", site=tmp_path / "site").stdout
    words = ["run", "--model", "oracle", "--suite", "places", "--out", "r"]
    done = harness(tmp_path, *words, site=tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert report(tmp_path, "r")["score"] == 100.0
    ready = harness(tmp_path, "doctor", "capitals", site=tmp_path / "site")
    assert "capitals: ready" in ready.stdout and "fixture" not in ready.stdout
    clash = harness(tmp_path, "doctor", str(tmp_path / "source" / "capitals.toml"), site=tmp_path / "site")
    assert clash.returncode == 2 and "choose another id" in clash.stderr


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("id = 3", "Expected `str`, got `int`"),
        ("id =", "Invalid value"),
        (FORM.replace('"capitals"', '"Capitals!"', 1), "id 'Capitals!' must be lower-case"),
        (FORM + "compair = 3", "unknown keys compair; known are id, title"),
        (FORM.replace('answer = "capital"\n', ""), "missing required"),
        (FORM + 'compare = "fuzzy"', "Invalid enum value 'fuzzy'"),
        (FORM + 'compare = "choice"', "`choices` go together"),
        (FORM + "max_new_tokens = 0", "at least 1"),
        (FORM.replace('"capitals.jsonl"', '"../capitals.jsonl"'), "must lie beside"),
    ],
)
def test_a_wrong_form_is_one_line_with_the_fix(form: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, form)
    with pytest.raises(DataError) as caught:
        read_form(path)
    assert str(caught.value).startswith(f"{path}: ") and message in str(caught.value)
    assert str(caught.value).endswith("docs/adding-a-task.md shows the form")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "holds no question"),
        ('{"country": "France", "capital": "Paris"}\n{"count', "capitals.jsonl:2: no JSON"),
        ([{"land": "France", "capital": "Paris"}], "question 1 has no field 'country'"),
        ([{"country": "France"}], "question 1 has no field 'capital'"),
        ([{"country": "France", "capital": "The!"}], "'The!' cannot be compared by 'exact'"),
        ([{"country": "France", "capital": []}], "cannot be compared"),
        ([{"country": "France", "capital": {"a": 1}}], "cannot be compared"),
    ],
)
def test_wrong_questions_are_one_line_with_the_fix(rows: object, message: str, tmp_path: Path) -> None:
    task = read_form(write(tmp_path, rows=rows))
    with pytest.raises(DataError) as caught:
        task.samples(task_context(task, tmp_path))
    assert message in str(caught.value) and "correct" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_command_shows_such_a_line_and_sends_nothing(tmp_path: Path) -> None:
    words = ("run", "--model", "oracle", "--out", "r", "--task")
    done = harness(tmp_path, *words, str(write(tmp_path / "empty", rows="")))
    assert done.returncode == 2 and "  capitals: " in done.stderr and "no question; correct" in done.stderr
    done = harness(tmp_path, *words, str(write(tmp_path / "wrong", "id =")))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "r").exists()


def test_a_pinned_hash_refuses_another_file(tmp_path: Path) -> None:
    path = write(tmp_path, FORM + f'sha256 = "{"0" * 64}"')
    done = harness(tmp_path, "run", "--model", "oracle", "--task", str(path), "--out", "r")
    assert done.returncode == 2 and f"pinned is {'0' * 64}" in done.stderr


async def value(path: Path, reply: str) -> float:
    """What a reply to the first question is worth."""
    task: QuestionSet = read_form(path)
    ctx = task_context(task, path.parent)
    async with task.world(ctx) as world:
        episode = await world.episode(task.samples(ctx)[0], {}, 0)
        await episode.reset()
        await episode.step(Reply(reply))
        return (await episode.score()).value


@pytest.mark.parametrize(
    ("rule", "answer", "right", "wrong"),
    [
        ('compare = "exact"', "Paris", ["the paris!", " Paris\n"], ["", "Paris, France", "Lyon"]),
        ('compare = "verbatim"', "Paris", [" Paris\n"], ["paris", "Paris."]),
        ('compare = "contains"', "New York", ["It is New York."], ["New Yorkshire", ""]),
        ('compare = "number"', 1200, ["so 3 and $1,200.00"], ["1200 or 3", "none", "120"]),
        ('compare = "choice"\nchoices = ["A", "B"]', "B", ["(B)", "Answer: B, not A"], ["A or B", "Because"]),
        ('read = "first_line"', "Paris", ["\n Paris\nQuestion: no"], ["So:\nParis"]),
        ('read = "last_line"\nafter = "Answer:"', "Paris", ["Answer: no\nAnswer: so\nParis"], ["Paris\nno"]),
    ],
)
async def test_replies_are_read_and_compared_as_the_form_says(
    rule: str, answer: object, right: list[str], wrong: list[str], tmp_path: Path
) -> None:
    path = write(tmp_path, FORM + rule, [{"country": "X", "capital": answer}])
    assert [await value(path, reply) for reply in right] == [1.0] * len(right)
    assert [await value(path, reply) for reply in wrong] == [0.0] * len(wrong)


async def test_options_have_their_letters_and_a_partial_match_counts_in_part(tmp_path: Path) -> None:
    form = FORM.replace("{country}?", "{country}?\\n{options}") + 'compare = "choice"\nchoices = ["A", "B"]'
    path = write(tmp_path, form, [{"country": "X", "options": ["one", "two"], "capital": "A"}])
    task = read_form(path)
    ctx = task_context(task, tmp_path)
    (sample,) = task.samples(ctx)
    async with task.world(ctx) as world:
        shown = await (await world.episode(sample, {}, 0)).reset()
        assert world.notes == ("Capitals of the world",)
    assert shown.messages[-1].content == "What is the capital of X?\nA. one\nB. two"
    path = write(tmp_path, FORM + 'compare = "f1"', [{"country": "X", "capital": "New York City"}])
    assert await value(path, "York City Hall") == pytest.approx(2 / 3)
