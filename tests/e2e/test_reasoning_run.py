"""A run of a model that thinks: what is stored of its thoughts, what the report counts, what names it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "core" / "models"))

from fault_server import Behaviour, FaultServer, Seen

from harness.storage.store import Store


def answer(seen: Seen) -> Behaviour:
    """By the sample: a thought and an answer, half an answer, half a thought, an answer."""
    content, finish = {
        "test/0": ("<think>I must add.</think>\n\nThe answer is 5.", "stop"),
        "test/1": ("First I", "length"),
        "test/2": ("<think>I must", "length"),
    }.get(seen.headers["x-harness-sample"], ("The answer is 5.", "stop"))
    choice = {"message": {"content": content}, "finish_reason": finish}
    usage = {"prompt_tokens": 9, "completion_tokens": 6}
    return Behaviour(body=json.dumps({"choices": [choice], "usage": usage}).encode())


async def run(cwd: Path, server: FaultServer, *more: str) -> str:
    words = ["run", "--model", "m@chat", "--endpoint", server.url, "--task", "gsm8k", "--limit", "first:4"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "harness", *words, "--mirror", "fixture", *more, cwd=cwd,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")},
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, said.decode()
    return said.decode()


def stored(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The run's configuration, and of each sample its outcome, reply, thought and tokens."""
    store = Store(path, readonly=True)
    try:
        found: dict[str, Any] = {}
        for attempt in store.attempts(final_only=True):
            (call,) = store.calls(attempt.id)
            found[attempt.item.sample] = (attempt.outcome, call.reply, call.thought, attempt.output_tokens)
        return store.meta("config"), found
    finally:
        store.close()


async def test_thoughts_are_stored_apart_counted_and_not_scored(tmp_path: Path):
    async with FaultServer(info=None, choose=answer) as server:
        stripped, kept = await asyncio.gather(
            run(tmp_path, server), run(tmp_path, server, "--reasoning", "keep")
        )
    assert "replies ended at max_new_tokens (2 of 4 calls, 50.0 %)" in stripped
    assert "replies began with a thought, which was taken out (2 of 4 calls, 50.0 %)" in stripped
    assert "replies were empty (1 of 4 calls, 25.0 %)" in stripped
    assert "began with a thought" not in kept and "were empty" not in kept
    assert "reasoning: thoughts kept in the replies" in kept and "reasoning:" not in stripped
    runs = [stored(path) for path in (tmp_path / "results" / "runs").glob("*/run.sqlite")]
    assert len(runs) == 2, "a run that keeps thoughts has another name"
    (config, found), (other, as_received) = sorted(runs, key=lambda one: "reasoning" in one[0])
    assert other == config | {"reasoning": "keep"}
    assert found == {
        "test/0": ("scored", "The answer is 5.", "I must add.", 6),
        "test/1": ("scored", "First I", "", 6),
        "test/2": ("limit", "", "I must", 6),
        "test/3": ("scored", "The answer is 5.", "", 6),
    }
    assert as_received["test/0"][1:3] == ("<think>I must add.</think>\n\nThe answer is 5.", "")
    assert as_received["test/2"][:3] == ("scored", "<think>I must", "")


@pytest.mark.parametrize("typed", ["--reasoning=drop", "--reasoning"])
async def test_another_way_is_refused(tmp_path: Path, typed: str):
    async with FaultServer(info=None, choose=answer) as server:
        with pytest.raises(AssertionError, match="reasoning"):
            await run(tmp_path, server, typed)
        assert not server.seen
