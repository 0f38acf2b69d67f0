"""What looking at a large run costs: 100,000 episodes, and one of 200 turns and 20 MB of prompts.

The server runs in a process of its own and is asked over HTTP as the pages ask. Targets: a page of any list
below 1 s, the long episode below 1 s, a text search below 3 s once its index is built, 150 MB of memory.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from harness.storage.store import Attempt, CallRecord, EpisodeKey, Store, Turn
from harness.types import Ask, Message

EPISODES, TURNS, CHARACTERS = 100_000, 200, 800
TEXT = "look open drawer cabinet take apple put shelf clean sink heat microwave examine desk lamp go"
WORDS = TEXT.split()
PAGE_S, SEARCH_S, MEMORY_MB, GRACE = 1.0, 3.0, 150.0, 1.5
PAGES = {
    "first page": {},
    "sorted by turns": {"sort": "turns", "down": "1"},
    "one group": {"group": "kind=odd", "sort": "value"},
    "a note that is nowhere": {"note": "nowhere"},
}


def call(n: int, prompt: str, reply: str, new: str) -> CallRecord:
    turn, info = Turn((Message("user", new),), ask=Ask(32)), {"action": reply[:40], "valid": True}
    return CallRecord(n, prompt, reply, {"output_tokens": 9}, info, turn=turn)


def build(path: Path, seed: int) -> None:
    seeded = random.Random(seed)
    store = Store(path)
    chosen = {"version": 1, "options": {}, "source": "mirror", "data": "d", "count": EPISODES}
    store.set_meta("config", {"model": "m", "profile": "paper", "suites": {}, "tasks": {"garden": chosen}})
    store.set_meta("specs", {"garden": {"metric": "m", "unit": "percent", "excepts": {}}})
    store.plan([EpisodeKey("garden", 1, f"s/{n}", 0) for n in range(EPISODES)])
    store.commit_later(asyncio.new_event_loop())  # which never runs: commits are large
    for n in range(EPISODES):
        asked, said = (" ".join(seeded.choices(WORDS, k=40)) for _ in range(2))
        store.add(
            episode(n, [call(0, f"USER {asked} {n}\nASSISTANT", f"{said} {n}", f"{asked} {n}")], seeded)
        )
        if n % 5_000 == 0:
            store.flush()
    calls, prompt = [], ""
    for turn in range(TURNS):
        new = " ".join(seeded.choices(WORDS, k=CHARACTERS // 6))
        prompt += f"USER {new}\nASSISTANT "
        calls.append(call(turn, prompt, f"go {turn}" * 40, new))
        prompt += f"go {turn}" * 40 + "\n"
    store.add(episode(EPISODES, calls, seeded))
    store.close()
    total = sum(len(one.prompt) for one in calls)
    print(f"the long episode has {total / 1e6:.1f} MB of prompts")


def episode(n: int, calls: list[CallRecord], seeded: random.Random) -> Attempt:
    value = float(seeded.random() < 0.5)
    labels = {"kind": ("even", "odd")[n % 2]}
    last = Turn((Message("user", "over"),), info={"action": f"stop {n}", "ended": True})
    return Attempt(
        "garden", 1, f"s/{n}", 0, "scored", value, calls=calls, labels=labels, answer=f"{n}", started=1e9,
        last=last,
    )  # fmt: skip


def asked(address: str, what: str, **given: Any) -> tuple[float, dict[str, Any]]:
    began = time.perf_counter()
    with urllib.request.urlopen(
        f"{address}api/{what}?{urllib.parse.urlencode(given)}", timeout=300
    ) as answer:
        body = answer.read()
    return time.perf_counter() - began, json.loads(body)


def memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def search(address: str) -> tuple[float, float]:
    """Seconds until the index is whole, and of the slowest search then."""
    began = time.perf_counter()
    while True:
        _, found = asked(address, "episodes", words="apple")
        if found["index"]["done"] == found["index"]["of"]:
            break
        time.sleep(0.2)
    built = time.perf_counter() - began
    words = ("apple", "apple drawer", '"heat microwave"', "micro*", str(EPISODES // 2))
    asked_for = [{"words": some, "sort": "turns"} for some in words]
    asked_for += [{"end": "stop 99999"}, {"end": "nowhere"}, {"end": "stop 4", "words": "apple"}]
    return built, max(asked(address, "episodes", **given)[0] for given in asked_for)


def measured(paths: list[Path]) -> list[tuple[str, float, float]]:
    command = [sys.executable, "-m", "harness", "view", *map(str, paths)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            found = [("two runs laid side by side", asked(address, "runs")[0], 2 * PAGE_S)]
            found.append(("the tasks", asked(address, "runs")[0], PAGE_S))
            for name, given in PAGES.items():
                found.append((name, asked(address, "episodes", **given)[0], PAGE_S))
            found.append(("flips first", asked(address, "episodes", sort="change", down="1")[0], PAGE_S))
            found.append(("an episode of 200 turns", asked(address, "episode", id=EPISODES + 1)[0], PAGE_S))
            built, slowest = search(address)
            print(f"the index took {built:.0f} s")
            found.append(("the slowest search", slowest, SEARCH_S))
            return [*found, ("memory, MB", memory_mb(server.pid), MEMORY_MB)]
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name / "run.sqlite" for name in ("first", "second")]
        for seed, path in enumerate(paths):
            build(path, seed)
        found = measured(paths)
    for name, value, target in found:
        print(f"{name:<26} {value:8.2f} (target {target:g})")
    return 1 if any(value > GRACE * target for _, value, target in found) else 0


if __name__ == "__main__":
    sys.exit(main())
