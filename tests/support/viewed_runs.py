"""Stores with episodes that a reader may open: several turns, roles, a judge, attempts, hostile texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.report.load import FILE
from harness.storage.store import Attempt, CallRecord, EpisodeKey, Store, Turn
from harness.types import Ask, JudgeAsk, Message, Pending

TASKS = ("garden", "mind2web", "mt_bench")
"""One that is installed nowhere, one whose texts are private, one that is judged."""

SCRIPT = "<script>canary()</script><img src=x onerror=canary()>\"'><svg onload=canary()>"
HOSTILE = (
    f"{SCRIPT} javascript:canary() \x00\x1b[2J\x1b]0;x\x07 \u202egnp.exe\u2066 \ud800 </textarea></style>"
)
"""Would call `canary` if any part of it were taken for HTML; with controls and half a character."""


def begun(directory: Path, **config: Any) -> Store:
    """A new store of a run of `TASKS`, open for writing."""
    store = Store(directory / FILE)
    chosen = {
        name: {"version": 1, "options": {}, "source": "mirror", "data": "d", "samples": "9", "count": 9}
        for name in TASKS
    }
    usual = {
        "model": "agent-7b", "profile": "paper", "decoding": "protocol", "seed": 0, "shard": None,
        "roles": [],
        "judge": None, "repeats": 1, "suites": {"all": list(TASKS)}, "tasks": chosen,
    }  # fmt: skip
    store.set_meta("config", usual | config)
    facts = {"metric": "accuracy", "suite": "general", "excepts": {}}
    units = {"mt_bench": "points"}
    store.set_meta("specs", {name: facts | {"unit": units.get(name, "percent")} for name in TASKS})
    return store


def calls(*said: str, text: str = "") -> Iterator[CallRecord]:
    """Calls of one conversation; the n-th asks `question n` and logs `step n`.

    Args:
        said: the replies.
        text: stands in every text.
    """
    prompt = f"SYSTEM be brief {text}\n"
    for n, reply in enumerate(said):
        new = (Message("user", f"question {n} {text}"),)
        if n == 0:
            shots = tuple(Message("user", f"example {i} {text}", "shot") for i in range(4))
            new = (Message("system", f"be brief {text}"), *shots, *new)
        prompt += f"USER question {n} {text}\nASSISTANT "
        turn = Turn(new, ask=Ask(32, stop=("\n",), temperature=0.5))
        facts = {
            "output_tokens": 7, "prompt_tokens": 20 + n, "endpoint": "http://gpu:8080", "seed": 2**61 + 1,
            "finish_reason": f"stop{text}", "latency_s": 0.25,
        }  # fmt: skip
        yield CallRecord(n, prompt, reply, facts, {"step": n, f"log{text}": text}, turn=turn)
        prompt += reply + "\n"


def attempt(n: int, value: float | None, *said: str, text: str = "", **more: Any) -> Attempt:
    """One attempt at sample `s/<n>` of `garden`."""
    usual: dict[str, Any] = {
        "outcome": "infra_error" if value is None else "scored", "value": value,
        "note": f"note {n}{text}", "calls": list(calls(*(said or (f"reply {n}",)), text=text)),
        "started": 1.7e9 + n, "seconds": 1.5 * n,
        "prompt_tokens": 100 + n, "output_tokens": 10 * n, "labels": {"kind": ("even", "odd")[n % 2]},
        "answer": f"answer {n}{text}", "target": f"target {n}{text}",
        "metrics": {"moves": 3.0},
    }  # fmt: skip
    return Attempt("garden", 1, f"s/{n:03}{text}", 0, **usual | more)


def viewed_run(directory: Path, count: int = 30, *, worse: int = 0) -> Path:
    """A run with `count` episodes of `garden`, of which the first one failed once; one judged, one private.

    Args:
        directory: of the run.
        count: episodes of `garden`; every third has the value 1, the others 0.
        worse: so many of the first ones have the opposite value.
    """
    store = begun(directory)
    store.plan([EpisodeKey("garden", 1, f"s/{n:03}", 0) for n in range(count)])
    store.add(attempt(0, None, error="EnvironmentFault: step took over 5 s\nsecond line"))
    for n in range(count):
        good = (n % 3 == 0) != (n < worse)
        store.add(attempt(n, float(good), f"I think {n}", f"so it is {n} of {worse}"))
    store.add(judged())
    store.add(private())
    store.close()
    return directory / FILE


def judged() -> Attempt:
    """An episode that waits for its judge."""
    item = JudgeAsk("turn-1", (Message("user", "is this a good poem?"),), Ask(8))
    return Attempt("mt_bench", 1, "81", 0, "scored", calls=list(calls("a poem")), pending=Pending((item,)))


def private() -> Attempt:
    """An episode of a task whose texts are private, stored as by `--trace-private`."""
    found = attempt(0, 1.0, "SECRET reply", text="SECRET text", error="")
    found.task, found.sample, found.note = "mind2web", "a1/0", "element right"
    found.answer, found.target = "B", "SECRET gold"
    found.calls = [replace(call, facts={"output_tokens": 1}) for call in found.calls]
    return found


def hostile_run(directory: Path) -> Path:
    """A run with `HOSTILE` in every text that a store may hold."""
    store = begun(directory, model=HOSTILE)
    long = attempt(1, 1.0, HOSTILE, "x" * 60_000 + HOSTILE, text=HOSTILE)
    role = CallRecord(0, HOSTILE, HOSTILE, {}, {}, f"role{SCRIPT}", HOSTILE)
    long.calls.insert(1, role)
    long.started = 1e300  # no date
    long.error, long.cluster, long.labels = HOSTILE, HOSTILE, {HOSTILE: HOSTILE}
    long.pending = Pending((JudgeAsk(HOSTILE, (Message("user", HOSTILE),), Ask(8)),))
    long.last = Turn((Message("user", HOSTILE),), said=HOSTILE, info={HOSTILE: HOSTILE})
    store.add(attempt(1, None, HOSTILE, text=HOSTILE, error=f"Fault: {HOSTILE}"))
    store.add(long)
    store.put_verdict(2, HOSTILE, 0, HOSTILE, "hash", HOSTILE)
    store.close()
    return directory / FILE
