"""What a Parquet export costs: 100,000 stored episodes of one to five turns.

The export runs in a process of its own. Targets: 2,000 episodes/s, and 500 MB of resident memory.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from harness.storage.store import Attempt, CallRecord, Store, Turn
from harness.types import Ask, Message

EPISODES = int(os.environ.get("EPISODES", "100000"))
PER_S, MOST_MB, GRACE = 2_000.0, 500.0, 1.5
WORDS = [f"word{n}" for n in range(5_000)]

EXPORT = """
import resource, sys
from harness.cli import group
group(["export", *sys.argv[1:]], standalone_mode=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def text(seeded: random.Random, words: int) -> str:
    return " ".join(seeded.choices(WORDS, k=words))


def attempt(seeded: random.Random, n: int) -> Attempt:
    """An episode whose prompts grow by what was said."""
    ask, prompt, calls = Ask(512, stop=("\n\n",)), "", []
    for turn in range(1 + n % 5):
        message, reply = Message("user", text(seeded, 80)), text(seeded, 40)
        prompt += f"[INST] {message.content} [/INST]"
        facts = {"finish_reason": "eos_token", "latency_s": 0.5, "prompt_tokens": 100, "output_tokens": 50}
        calls.append(CallRecord(turn, prompt, reply, facts, turn=Turn((message,), ask=ask)))
        prompt += reply
    value, metrics = float(n % 2), {"paper": 1.0}
    return Attempt("gsm8k", 2, f"test/{n}", 0, "scored", value, metrics, calls=calls, answer="1", target="1")


def build(path: Path) -> None:
    seeded = random.Random(0)
    with closing(Store(path)) as store:
        facts = {"version": 2, "options": {}, "source": "mirror", "count": EPISODES}
        config = {"model": "m", "profile": "paper", "decoding": "protocol", "seed": 0}
        store.set_meta("config", config | {"tasks": {"gsm8k": facts}, "suites": {}})
        store.set_meta("specs", {"gsm8k": {"metric": "accuracy", "suite": "general"}})
        store._db.execute("PRAGMA synchronous = OFF")
        for n in range(EPISODES):
            store.add(attempt(seeded, n))


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder / "run.sqlite")
        began = time.monotonic()
        words = [str(folder), str(folder / "out.parquet"), "--format", "parquet"]
        done = subprocess.run(
            [sys.executable, "-c", EXPORT, *words], capture_output=True, text=True, check=True
        )
        took = time.monotonic() - began
        rate, memory = EPISODES / took, float(done.stdout.splitlines()[-1])
    print(f"{EPISODES:,} episodes to Parquet: {rate:,.0f} episodes/s (target {PER_S:,.0f})")
    print(f"resident memory: {memory:.0f} MB (target {MOST_MB:.0f})")
    return int(rate < PER_S / GRACE or memory > MOST_MB * GRACE)


if __name__ == "__main__":
    sys.exit(main())
