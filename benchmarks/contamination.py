"""How long `harness contamination` takes for a training file of AgentTuning's shape, and what memory.

100,000 turns in conversations of ten, of 20 to 300 words each, some of them a benchmark's own question, are
looked through for the questions of every suite's tasks (without HARNESS_MIRROR of their fixtures).
Target: five minutes, 2 GB.

    HARNESS_MIRROR=DIR python benchmarks/contamination.py [TURNS]
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from harness.checks.contamination import rules, tokens, training
from harness.checks.contamination.measure import measure
from harness.checks.contamination.questions import QuestionChoices, read

TURNS = 100_000
A_TALK = 10
PLANTED = 0.001
"""Share of turns that are a question."""


def write(path: Path, count: int, questions: Sequence[str]) -> None:
    """Conversations as AgentInstruct has them, of the benchmarks' own words in random order."""
    rng = random.Random(27)
    words = [word for text in rng.sample(questions, min(2000, len(questions))) for word in text.split()]

    def said() -> str:
        if rng.random() < PLANTED:
            return rng.choice(questions)
        return " ".join(rng.choices(words, k=rng.randint(20, 300)))

    with path.open("w") as file:
        for number in range(count // A_TALK):
            turns = [
                {"from": ("human", "gpt")[n % 2], "loss": bool(n % 2), "value": said()} for n in range(A_TALK)
            ]
            file.write(json.dumps({"id": f"os_{number}", "conversations": turns}) + "\n")


def main(count: int) -> None:
    started = time.perf_counter()
    mirror = None if os.environ.get("HARNESS_MIRROR") else "fixture"
    found = read(QuestionChoices(suites=("all", "agentflan-heldout"), mirror=mirror))
    texts = [text for task in found.tasks for text in task.texts.values() if text]
    print(f"{len(texts):,} questions of {len(found.tasks)} tasks in {time.perf_counter() - started:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.jsonl"
        write(path, count, texts)
        print(f"{count:,} turns, {path.stat().st_size >> 20} MB")
        for name in ("words", "cl100k"):
            for rule in rules.RULES.values():
                started = time.perf_counter()
                result = measure(found, training.files([path]), rule, tokens.find(name))
                took = time.perf_counter() - started
                dirty = sum(task.counts()["dirty"] for task in result.tasks)
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
                print(f"{rule.name:<8} {name:<7} {took:6.1f} s, {dirty:,} dirty, peak {peak:,} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else TURNS)
