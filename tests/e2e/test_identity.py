"""One run has one model: what answers now must be what answered before, whatever name is typed."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import command
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "core" / "models"))

from fault_server import INFO, FaultServer

from harness.report.build import build
from harness.report.load import load
from harness.report.render import render

MINE: dict[str, Any] = {**INFO, "model_id": "me/mymodel", "model_sha": "checkpoint-1"}
ENTRY = '[mymodel]\nkind = "{kind}"\nhf = "me/mymodel"\ntemplate = "{template}"\n'
BEFORE = 6
"""Answers that the server gives before it is restarted with other weights."""


def say(seen: Any) -> str:
    numbers = re.findall(r"[0-9]+", json.dumps(seen.data))
    return f"The answer is {max(map(int, numbers))}."


async def harness(cwd: Path, *words: str, entry: str = "") -> tuple[int, str]:
    (cwd / "models.toml").write_text(entry or ENTRY.format(kind="tgi", template="agentlm"))
    models = str(cwd / "models.toml")
    done = await asyncio.to_thread(command.harness, cwd, *words, HARNESS_MODELS=models)
    return done.returncode, done.stdout + done.stderr


def play(server: FaultServer, *more: str, model: str = "mymodel") -> tuple[str, ...]:
    return (
        "run", "--model", model, "--endpoint", server.url, "--task", "gsm8k", "--mirror", "fixture",
        "--concurrency", "2", "--out", "r", "--no-report", *more,
    )  # fmt: skip


def stored(run: Path) -> list[Any]:
    with sqlite3.connect(f"file:{run / 'run.sqlite'}?mode=ro", uri=True) as store:
        return store.execute("SELECT sample, outcome, value FROM episode ORDER BY id").fetchall()


def shown(run: Path) -> list[str]:
    return [render([build(load(str(run)))], form) for form in ("table", "md", "csv", "json", "html", "latex")]


@asynccontextmanager
async def restarted(after: int | None = None, **info: Any) -> AsyncIterator[FaultServer]:
    """A server of `mymodel` that serves something else from its `after`-th answer on, or from the start."""
    server = FaultServer(reply=say, info={**MINE, **(info if after is None else {})})
    server.models = {"data": [{"id": "me/mymodel"}]}

    def choose(seen: Any) -> None:
        if after is not None and len(server.seen) > after:
            server.info = {**MINE, **info}

    server.choose = choose
    async with server:
        yield server


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that ended when its server was restarted with the next checkpoint."""
    folder = tmp_path_factory.mktemp("interrupted")

    async def begun() -> None:
        async with restarted(BEFORE, model_sha="checkpoint-2") as server:
            code, said = await harness(folder, *play(server))
        assert code == 3, said
        assert "model_sha checkpoint-1 then, checkpoint-2 now" in said
        assert len(server.seen) <= BEFORE + 2, "more than one request in flight after the change"

    asyncio.run(begun())
    rows = stored(folder / "r")
    assert 1 <= len(rows) <= BEFORE and all(outcome == "scored" for _, outcome, _ in rows)
    return folder


STORIES = {
    "next checkpoint": ({"model_sha": "checkpoint-2"}, {}, 'sha: "checkpoint-1" there, "checkpoint-2" here'),
    "another served id": ({"model_id": "me/other"}, {}, 'served: "me/mymodel" there, "me/other" here'),
    "no sha any more": ({"model_sha": None}, {}, 'sha: "checkpoint-1" there, "" here'),
    "another template": ({}, {"template": "vicuna_v1.1"}, "templates.default: "),
    "another kind of server": ({}, {"kind": "openai"}, 'kind: "tgi" there, "openai" here'),
}  # fmt: skip


@pytest.mark.parametrize(("info", "entry", "key"), STORIES.values(), ids=STORIES)
async def test_another_model_does_not_go_on_with_a_run(
    interrupted: Path, tmp_path: Path, info: dict[str, Any], entry: dict[str, str], key: str
):
    shutil.copytree(interrupted / "r", tmp_path / "r")
    rows, report = stored(tmp_path / "r"), shown(tmp_path / "r")
    async with restarted(**info) as server:
        written = ENTRY.format(**{"kind": "tgi", "template": "agentlm", **entry})
        code, said = await harness(tmp_path, *play(server), entry=written)
        assert (code, len(server.seen)) == (2, 0), said
    assert key in said and "--new" in said
    assert (stored(tmp_path / "r"), shown(tmp_path / "r")) == (rows, report)


async def test_the_same_model_goes_on_and_a_complete_run_is_not_taken_for_the_next_checkpoints(
    interrupted: Path, tmp_path: Path
):
    shutil.copytree(interrupted / "r", tmp_path / "r")
    begun = len(stored(tmp_path / "r"))
    async with restarted() as server:
        code, said = await harness(tmp_path, *play(server))
        assert code == 0, said
        played = [seen for seen in server.seen if seen.headers["x-harness-task"] == "gsm8k"]
        assert len(played) == 16 - begun
        assert "complete already" in (await harness(tmp_path, *play(server)))[1]
        rows, report = stored(tmp_path / "r"), shown(tmp_path / "r")
        server.info = {**MINE, "model_sha": "checkpoint-3"}
        code, said = await harness(tmp_path, *play(server))
        assert code == 2 and 'sha: "checkpoint-1" there, "checkpoint-3" here' in said
    code, said = await harness(tmp_path, *play(server))
    assert code == 0 and "was not asked whether" in said, "without an endpoint a complete run stands"
    assert (stored(tmp_path / "r"), shown(tmp_path / "r")) == (rows, report)


async def test_a_model_does_not_stand_under_another_ones_name(tmp_path: Path):
    async with restarted() as server:
        code, said = await harness(tmp_path, *play(server, "--limit", "2", model="agentlm-7b"))
        assert (code, len(server.seen), (tmp_path / "r").exists()) == (2, 0, False), said
        told = next(line for line in said.splitlines() if line.startswith("  harness run"))
        assert "--model me/mymodel=agentlm-7b" in told
        code, said = await harness(tmp_path, *told.split()[1:])
        assert code == 0, said
        assert all(seen.data["inputs"].startswith("[INST] <<SYS>>") for seen in server.seen)
    assert load(str(tmp_path / "r")).model == "me/mymodel=agentlm-7b"


@pytest.mark.parametrize("change", [lambda s: {"model_sha": "other"}, lambda s: {"model_id": "x/y"}])
async def test_a_replica_that_changes_ends_the_run_within_one_request_each(
    tmp_path: Path, change: Callable[[Any], dict[str, str]]
):
    async with restarted() as calm, restarted(4, **change(None)) as server:
        code, said = await harness(tmp_path, *play(server, "--endpoint", calm.url))
        assert code == 3, said
        assert "serves another model than when the run began" in said
        assert len(server.seen) <= 4 + 2
    assert len(stored(tmp_path / "r")) < 16


async def test_code_that_changed_without_a_version_is_told(interrupted: Path, tmp_path: Path):
    shutil.copytree(interrupted / "r", tmp_path / "r")
    with sqlite3.connect(tmp_path / "r" / "run.sqlite") as store:
        (code,) = store.execute("SELECT value FROM meta WHERE key = 'code'").fetchone()
        assert len(json.loads(code)["gsm8k"]) == 1
        store.execute("""UPDATE meta SET value = '{"gsm8k": ["before"]}' WHERE key = 'code'""")
    async with restarted() as server:
        code, said = await harness(tmp_path, *play(server))
    assert code == 0 and "gsm8k: its code changed since the run began" in said
    assert "gsm8k: its code changed 1 times during the run" in shown(tmp_path / "r")[0]
