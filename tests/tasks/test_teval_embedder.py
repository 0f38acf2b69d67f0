"""T-Eval with and without an embedder, from the command line to the report; the embedder is a real server."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from command import harness
from contexts import task_context
from embedding_server import Embeddings, embedding_server

from harness.models.roles import RoleOptions, RoleSession, open_role, parse_role
from harness.report.load import FILE
from harness.running.judge_values import judge_run
from harness.running.verdicts import Judge
from harness.storage.store import Store
from tasks.teval import rows
from tasks.teval.task import TASK

RUN = ("run", "--model", "oracle", "--task", "teval", "--mirror", "fixture", "--out", "one")
FIXTURE = Path(rows.__file__).parent / "fixture"
KNOWN = {"instruct", "retrieve", "understand", "review"}
DIMENSIONS = {*KNOWN, "plan", "reason"}
PUBLISHED = "all-mpnet-base-v2"


@pytest.fixture
def call(tmp_path: Path):
    return partial(harness, tmp_path)


@pytest.fixture
def server():
    with embedding_server() as found:
        yield found


def role(server: Embeddings, name: str = PUBLISHED) -> tuple[str, str]:
    return "--role", f"embedder={name}@{server.url}"


def reported(call) -> dict[str, Any]:
    done = call("report", "one", "--format", "json")
    return json.loads(done.stdout)["tasks"]["teval"]


def dimensions(task: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in task["metrics"].items() if name in DIMENSIONS}


def test_four_dimensions_stand_without_an_embedder_and_six_with_one_that_comes_later(call, server):
    done = call(*RUN)
    assert done.returncode == 0, done.stderr
    shown = call("report", "one").stdout
    assert "harness judge one --role embedder=NAME@URL" in shown
    before = reported(call)
    assert before["score"] is None and before["scored"] < before["planned"]
    assert dimensions(before) == pytest.approx(dict.fromkeys(KNOWN, 1.0), abs=1e-4)

    judged = call("judge", "one", *role(server))
    assert judged.returncode == 0, judged.stderr
    after = reported(call)
    assert after["metric"] == f"t-eval@v2@{PUBLISHED}"
    assert after["score"] == pytest.approx(100, abs=0.01)
    assert dimensions(after) == pytest.approx(dict.fromkeys(DIMENSIONS, 1.0), abs=1e-4)
    asked = len(server.texts)
    assert asked > 20
    assert call("judge", "one", *role(server)).returncode == 0
    assert len(server.texts) == asked, "what was compared is not compared again"


def test_a_substitutes_vectors_give_dimensions_and_no_overall(call, server):
    assert call(*RUN).returncode == 0
    assert call("judge", "one", *role(server, "all-MiniLM-L6-v2")).returncode == 0
    task = reported(call)
    assert (task["metric"], task["score"]) == ("t-eval@v2@all-MiniLM-L6-v2", None)
    assert task["metrics"]["substitute_embedder"] == 1.0 and "paper" not in task["metrics"]
    assert set(dimensions(task)) == DIMENSIONS
    assert "substitute_embedder 1" in call("report", "one").stdout
    # Another embedder's verdicts do not hide this one's, and the published one's name needs its length.
    server.length = 384
    assert call("judge", "one", *role(server)).returncode == 0
    assert reported(call)["metrics"]["substitute_embedder"] == 1.0


def test_an_embedder_that_is_not_there_changes_nothing(call, server):
    assert call(*RUN, "--set", "teval.runs=plan").returncode == 0
    done = call("judge", "one", "--role", f"embedder={PUBLISHED}@http://127.0.0.1:9")
    assert done.returncode == 2 and "no endpoint answers" in done.stderr
    assert call("judge", "one", *role(server)).returncode == 0
    assert reported(call)["metrics"]["plan"] == 1.0


@pytest.mark.parametrize("fault", ["nan", "growing"])
async def test_vectors_that_are_none_are_no_zero_and_are_asked_for_again(call, server, tmp_path, fault: str):
    assert (await asyncio.to_thread(call, *RUN, "--set", "teval.runs=plan_json")).returncode == 0
    ctx = task_context(TASK, FIXTURE, source="fixture", runs="plan_json")
    setattr(server, fault, True)
    with closing(Store(tmp_path / "one" / FILE)) as store:
        for healthy in (False, True):
            if healthy:
                server.nan, server.growing, server.length = False, False, 768
            async with open_role(parse_role(role(server)[1])) as model:
                options = RoleOptions(deadline_s=30.0 if healthy else 0.5)
                chat = lambda key: RoleSession("embedder", model, key, options=options)  # noqa: B023, E731
                done = await judge_run(store, {"teval": (TASK, ctx)}, Judge(PUBLISHED, chat), role="embedder")
            values = [attempt.value for attempt in store.attempts(final_only=True)]
            assert values == ([1.0, 1.0] if healthy else [None, None])
            assert len(done.tally.failed) == (0 if healthy else 2)
            assert all("vectors" in why for why in done.tally.failed.values())


def test_a_run_with_an_embedder_values_all_at_its_end(call, server):
    done = call(*RUN, *role(server))
    assert done.returncode == 0, done.stderr
    assert reported(call)["score"] == pytest.approx(100, abs=0.01)


def test_a_models_run_without_an_embedder_is_complete_and_says_how_to_go_on(call, tmp_path: Path):
    path = FIXTURE / f"{rows.FILES['reason_str']}.json"
    lines = [
        json.dumps({"task": "teval", "sample": f"reason_str/{case.id}", "replies": ["I look in the pantry."]})
        for case in rows.cases(path, "reason_str")
    ]
    (tmp_path / "replies.jsonl").write_text("\n".join(lines))
    words = ("--task", "teval", "--mirror", "fixture", "--set", "teval.runs=reason_str", "--out", "one")
    done = call("run", "--model", "replay:replies.jsonl", *words)
    assert done.returncode == 0, done.stderr
    assert "teval wait for an embedder: harness judge" in done.stderr
    dead = ("--role", f"embedder={PUBLISHED}@http://127.0.0.1:9")
    assert call("run", "--model", "replay:replies.jsonl", *words[:-1], "two", *dead).returncode == 2


def test_a_part_of_the_runs_has_its_dimensions_and_says_why_there_is_no_overall(call):
    assert call(*RUN, "--set", "teval.runs=instruct,review").returncode == 0
    task = reported(call)
    assert task["score"] is None and set(dimensions(task)) == {"instruct", "review"}
    assert any("only the runs instruct, review_str" in note for note in task["notes"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "give --judge NAME@URL, or --role embedder=NAME@URL"),
        (("--judge", "a@http://127.0.0.1:9", "--role", "embedder=a@http://127.0.0.1:9"), "give --judge"),
        (("--role", "judge=a@http://127.0.0.1:9"), "write embedder=NAME@URL"),
        (("--role", "embedder=oracle"), "write embedder=NAME@URL"),
        (("--judge", "a@http://127.0.0.1:9"), "nothing in this run waits for a judge"),
    ],
)
def test_who_is_to_judge_is_asked_for_in_one_line(call, words: tuple[str, ...], says: str):
    assert call(*RUN, "--set", "teval.runs=plan_json").returncode == 0
    done = call("judge", "one", *words)
    assert done.returncode == 2 and says in done.stderr
