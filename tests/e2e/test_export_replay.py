"""Export, replay and run again: the same values, metrics and transcripts, for every task and every ending."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from command import harness
from rating_judge import rating_judge

sys.path.insert(0, str(Path(__file__).parent.parent / "core" / "models"))

from fault_server import Behaviour, FaultServer, Seen

from harness.catalog import registry
from harness.data.resolve import cache_folder
from harness.storage.records import CallRecord
from harness.storage.store import Store

QUICK = ("gsm8k", "hotpotqa", "mt_bench", "rewoo")
"""Of many turns, raw, judged, with a role; the others take seconds to start, twice."""

TASKS = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in sorted(registry.names())
]


def played(folder: Path, *words: str) -> None:
    built = {"HARNESS_CACHE": str(cache_folder())} if "os" in words else {}  # its root file system
    done = harness(folder, "run", *words, "--no-report", **built)
    if done.returncode == 2 and "harness setup" in done.stderr and not os.environ.get("CI"):
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr


def stored(run: Path, spec: Any) -> list[Any]:
    """Everything of a run's counted attempts but times, places and who answered."""
    found: list[Any] = []
    with closing(Store(run / "run.sqlite", readonly=True)) as store:
        for attempt in store.attempts(final_only=True):
            calls = store.all_calls(attempt.id)
            facts = (attempt.item, attempt.outcome, attempt.value, attempt.metrics, attempt.answer)
            told = (attempt.target, re.sub("judged by .*", "", attempt.note), attempt.pending)
            found.append((facts, told, [_same(call, spec) for call in calls]))
    return found


def _same(call: CallRecord, spec: Any) -> Any:
    shown: list[Any] = [call.role, call.key, call.n, call.reply, call.thought]
    if call.turn is not None:  # the prompt of a role is rendered by its own model
        turn = call.turn
        shown += [
            call.prompt,
            turn.messages,
            turn.said,
            turn.fresh,
            turn.raw,
            turn.ask,
            turn.kept,
            turn.changed,
        ]
    text = repr(shown)
    for pattern in spec.mask:
        text = re.sub(pattern, "", text)
    return text


@pytest.mark.parametrize("task", TASKS)
def test_a_replayed_run_equals_the_first(tmp_path: Path, task: str):
    spec = registry.load(task).spec
    words = ["--task", task, "--limit", "first:1", "--mirror", "fixture", "--trace-private"]
    with rating_judge() as url:
        first = [f"--role={role}=m@{url}" for role in spec.roles if role not in ("judge", "embedder")]
        first += [f"--judge=m@{url}"] if "judge" in spec.roles else []
        played(tmp_path, "--model", "oracle", *words, *first, "--out", "one")
    told = harness(tmp_path, "export", "one", "one.jsonl", "--format", "replay")
    assert told.returncode == 0, told.stderr
    again = told.stderr.rpartition("play it again: harness run ")[2]
    played(tmp_path, *shlex.split(again), "--trace-private", "--out", "two")
    one, two = (stored(tmp_path / name, spec) for name in ("one", "two"))
    assert one and one[0][2]
    assert two == one


def answer(seen: Seen) -> Behaviour:
    """By the sample: a thought and an answer, half a thought, a prompt that does not fit, an answer."""
    sample = seen.headers["x-harness-sample"]
    if sample == "test/2":
        return Behaviour(413, json.dumps({"error": "too long", "error_type": "validation"}).encode())
    text, finish = {
        "test/0": ("<think>A <think> is a tag. </think>\n\nThe answer is 5.", "stop"),
        "test/1": ("<think>I must", "length"),
    }.get(sample, ("The answer is 5.", "length"))
    choice = {"message": {"content": text}, "finish_reason": finish}
    return Behaviour(body=json.dumps({"choices": [choice]}).encode())


async def test_thoughts_and_limits_come_back(tmp_path: Path):
    spec = registry.load("gsm8k").spec
    words = ["--task", "gsm8k", "--limit", "first:4", "--mirror", "fixture"]
    async with FaultServer(info=None, choose=answer) as server:
        model = ["--model", "m@chat", "--endpoint", server.url, "--out", "one"]
        await asyncio.to_thread(played, tmp_path, *words, *model)
    told = harness(tmp_path, "export", "one", "one.jsonl", "--format", "replay")
    assert told.returncode == 0, told.stderr
    played(tmp_path, *words, "--model", "replay:one.jsonl", "--out", "two")
    kept = [[(facts[0], facts[1], facts[2], len(calls)) for facts, _, calls in stored(tmp_path / run, spec)]
            for run in ("one", "two")]  # fmt: skip
    assert [(outcome, calls) for _, outcome, _, calls in sorted(kept[0], key=str)] == [
        ("scored", 1), ("limit", 1), ("limit", 0), ("scored", 1),
    ]  # fmt: skip
    assert sorted(kept[1], key=str) == sorted(kept[0], key=str)
    thoughts = [replies(tmp_path / run) for run in ("one", "two")]
    assert thoughts[0]["test/0"] == [("A <think> is a tag.", "The answer is 5.")]
    assert thoughts[0]["test/1"] == [("I must", "")]
    assert thoughts[1] == thoughts[0]


def replies(run: Path) -> dict[str, list[tuple[str, str]]]:
    with closing(Store(run / "run.sqlite", readonly=True)) as store:
        return {
            attempt.item.sample: [(call.thought, call.reply) for call in store.calls(attempt.id)]
            for attempt in store.attempts(final_only=True)
        }
