"""From the stored turns of real episodes alone, every prompt comes back byte for byte."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from talking_model import played, render, says

from harness.running.sampling import Sampling
from harness.storage import transcript
from harness.storage.store import Store

SYSTEM = "Answer in as few words as you can."
"""A system text of the command's."""


@pytest.mark.parametrize(
    ("name", "words", "feature", "system"),
    [
        ("gsm8k", "{chatter}{n}\nThe answer is 5.", "one call", None),
        ("alfworld", "{chatter}{n}\nACTION: look", "cut", None),
        ("dbbench", "{chatter}{n}\nAction: Operation\n```sql\nSELECT 1;\n```", "calls", None),
        ("sciworld", "Think: {n} {chatter}", "cut", None),
        ("hotpotqa", "{chatter}{n}\nSearch[house]", "raw", None),
        ("miniwob", '{chatter}{n}\nclickxpath //*[@id="nothing"]', "fresh", None),
        ("rewoo", "{chatter}{n}\nPlan: Look it up.\n#E1 = LLM[Who is it?]", "calls", None),
        ("gsm8k", "{chatter}{n}\nThe answer is 5.", "one call", SYSTEM),
        ("alfworld", "{chatter}{n}\nACTION: look", "cut", SYSTEM),
        ("hotpotqa", "{chatter}{n}\nSearch[house]", "raw", SYSTEM),
    ],
)
def test_every_prompt_comes_back(tmp_path: Path, name: str, words: str, feature: str, system: str | None):
    (tmp_path / "work").mkdir()
    sampling = Sampling(system=system)
    attempt, model = asyncio.run(played(name, says(words), tmp_path / "work", sampling))
    store = Store(tmp_path / "run.sqlite")
    store.add(attempt)
    store.close()
    store = Store(tmp_path / "run.sqlite", readonly=True)
    (stored,) = store.attempts()
    calls = store.calls(stored.id)
    store.close()
    sent = [call.prompt + call.ask.prefix for call in model.calls]
    assert sent
    assert list(transcript.prompts(calls, render)) == sent
    if system:  # in every conversation once and first, in place of the task's own
        begins = [prompt.startswith(f"system: {system}") for prompt in sent]
        assert all(begins) if feature != "raw" else not any(begins)
        assert all(prompt.count(system) <= 1 for prompt in sent)
    turns = [call.turn for call in calls if not call.role and call.turn is not None]
    seen = {
        "one call": len(turns) == 1,
        "calls": len(turns) > 1,
        "cut": any(turn.kept is not None for turn in turns),
        "raw": all(turn.raw is not None for turn in turns),
        "fresh": any(turn.fresh for turn in turns),
    }
    assert seen[feature], "this transcript does not have what it is here for"
