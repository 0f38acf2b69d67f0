"""Two hundred malformed answers of one replica beside a good one: every episode is scored all the same."""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "core" / "models"))

from fault_server import INFO, Behaviour, FaultServer
from loopback_server import in_a_thread
from test_bounded_bodies import FRAMING, MB, bomb
from test_hostile_answers import ERRORS, NUMBERS, UNUSABLE

from harness.storage.store import Store

ANSWERS, DEADLINE_S, MOST_MB, REPEATS, IN_FLIGHT, RUNS = 200, 12.0, 200, 60, 8, 20
MODEL = "THUDM/agentlm-7b"
KINDS = {"tgi": "agentlm-7b", "openai": "agentlm-7b@openai", "chat": "agentlm-7b@chat"}


def good(kind: str, number: bytes = b"3", text: bytes = b'"The answer is 5."') -> bytes:
    if kind == "tgi":
        details = b'{"finish_reason": "eos_token", "generated_tokens": %b, "seed": %b}' % (number, number)
        return b'{"generated_text": %b, "details": %b}' % (text, details)
    said = b'"text": %b' % text if kind == "openai" else b'"message": {"content": %b}' % text
    usage = b'{"prompt_tokens": %b, "completion_tokens": %b}' % (number, number)
    return b'{"choices": [{%b, "finish_reason": "stop"}], "usage": %b}' % (said, usage)


def malformed(draw: random.Random, kind: str) -> Behaviour | bytes:
    """One answer to be sent, or the raw bytes of one."""
    form = draw.randrange(8)
    whole = good(kind)
    if form == 0:
        return Behaviour(body=good(kind, number=draw.choice(list(NUMBERS.values()))))
    if form == 1:
        return Behaviour(body=draw.choice(list(UNUSABLE.values())))
    if form == 2:
        status = draw.choice([301, 400, 401, 404, 405, 422, 429, 500, 502, 999])
        return Behaviour(status, draw.choice(list(ERRORS.values())), "text/html")
    if form == 3:
        return draw.choice(list(FRAMING.values()))
    if form == 4:
        return Behaviour(body=whole[: draw.randrange(len(whole))])
    if form == 5:
        spoiled = bytearray(whole)
        for _ in range(draw.randrange(1, 9)):
            spoiled[draw.randrange(len(spoiled))] = draw.randrange(256)
        return Behaviour(body=bytes(spoiled))
    if form == 6:
        packed = gzip.compress(whole)
        cut = packed[: draw.randrange(len(packed))] if draw.random() < 0.5 else draw.randbytes(200)
        return Behaviour(body=cut, headers=(("Content-Encoding", "gzip"),))
    return Behaviour(body=draw.randbytes(draw.randrange(1, 5000)))


HEAVY = ("bomb", "error bomb", "endless", "endless error", "trickle", "padded", "lists", "keys")


FILLERS = {
    "padded": lambda: b"1" * (20 * MB),
    "lists": lambda: b"[" + b"[]," * (8 * MB) + b"1]",
    "keys": lambda: b"{" + b",".join(b'"%x": 1' % n for n in range(MB)) + b"}",
}


@functools.cache
def filler(name: str) -> bytes:
    """JSON of many bytes that means nothing."""
    return FILLERS[name]()


class Hostile(FaultServer):
    """Spoils two answers of three, so that it stays in the pool, until all that are due were sent."""

    def __init__(self, kind: str, due: list[Any]) -> None:
        super().__init__(info={**INFO, "model_id": MODEL}, default=Behaviour(body=good(kind)))
        self.models = {"data": [{"id": MODEL}]}
        self.kind, self.due, self.asked = kind, due, 0

    async def behave(self, how: Any, seen: Any, reader: Any, writer: Any) -> bool:
        if seen.headers.get("x-harness-task") == "doctor":  # the trial before a run, which a bad answer ends
            return await super().behave(self.default, seen, reader, writer)
        self.asked += 1
        if not self.due or self.asked % 3 == 0:
            return await super().behave(self.default, seen, reader, writer)
        bad = self.due.pop()
        if isinstance(bad, bytes):
            writer.write(bad)
            await writer.drain()
            return False
        if isinstance(bad, str):
            return await self._heavy(bad, seen, reader, writer)
        return await super().behave(bad, seen, reader, writer)

    async def _heavy(self, name: str, seen: Any, reader: Any, writer: Any) -> bool:
        status = 500 if "error" in name else 200
        if "bomb" in name:
            how = Behaviour(status, bomb(256 * MB), headers=(("Content-Encoding", "gzip"),))
            return await super().behave(how, seen, reader, writer)
        if name in FILLERS:
            how = Behaviour(body=b'{"x": ' + filler(name) + b", " + good(self.kind)[1:])
            return await super().behave(how, seen, reader, writer)
        writer.write(b"HTTP/1.1 %d Whatever\r\nConnection: close\r\n\r\n" % status)
        while True:
            writer.write(b" " if name == "trickle" else b" " * 65536)
            await writer.drain()
            await asyncio.sleep(0.1 if name == "trickle" else 0)


MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
open(sys.argv[1], "w").write(f"{code} {used}")
"""


def run(arguments: list[str], log: Path) -> tuple[int, float]:
    """Run the command; returns its exit code and the most memory it had, in MB.

    Linux counts for a process what its parent had when it forked: hence a small parent in between.
    """
    told = log.with_suffix(".used")
    words = [sys.executable, "-c", MEASURED, str(told), sys.executable, "-m", "harness", *arguments]
    with log.open("wb") as said:
        subprocess.run(words, stdout=said, stderr=said, check=True, timeout=200)
    code, used = told.read_text().split()
    return int(code), int(used) / 1024


@pytest.mark.parametrize(
    "kind", ["tgi", *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS if kind != "tgi")]
)
def test_a_hostile_replica_costs_no_episode_no_memory_and_no_time(kind: str, tmp_path: Path):
    draw = random.Random(f"hostile {kind}")
    due: list[Any] = [malformed(draw, kind) for _ in range(ANSWERS - len(HEAVY))]
    for name in HEAVY:
        due.insert(draw.randrange(len(due)), name)
    for name in FILLERS:  # before anything is served: it takes seconds where the machine has other work
        filler(name)
    bomb(256 * MB)
    # Each in a thread of its own: what the bad one prepares and sends does not hold up the good one.
    with in_a_thread(Hostile(kind, due)) as bad, in_a_thread(Hostile(kind, [])) as calm:
        # A run leaves the bad replica alone after a while; the next one begins with it again.
        for number in range(RUNS):
            arguments = [
                "run", "--model", KINDS[kind], "--task", "gsm8k", "--mirror", "fixture", "--no-report",
                "--repeats", str(REPEATS), "--concurrency", str(IN_FLIGHT), "--out", f"{tmp_path}/{number}",
                "--request-deadline", str(DEADLINE_S), "--endpoint", bad.url, "--endpoint", calm.url,
            ]  # fmt: skip
            log = tmp_path / f"log{number}"
            code, memory_mb = run(arguments, log)
            assert code == 0, log.read_text(errors="replace")[-3000:]
            assert memory_mb <= MOST_MB
            all_are_scored(tmp_path / f"{number}" / "run.sqlite")
            if not due:
                return
    pytest.fail(f"{len(due)} malformed answers were never sent")


def all_are_scored(path: Path) -> None:
    store = Store(path, readonly=True)
    try:
        attempts = list(store.attempts())
        assert {attempt.outcome for attempt in attempts} <= {"scored", "limit"}
        assert len(attempts) == len(store.planned()) == len(store.final_items())
        for attempt in attempts:
            for call in store.calls(attempt.id):
                assert call.facts["latency_s"] <= DEADLINE_S + 1, json.dumps(dict(call.facts))
    finally:
        store.close()
