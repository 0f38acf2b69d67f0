"""What a stored transcript weighs: at most a quarter more than in version 1, and linear in its turns."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.storage.codec import Codec, shared_prefix
from harness.storage.records import Attempt, CallRecord, Turn
from harness.storage.store import Store
from harness.types import Ask, Message

VERSION_1 = """CREATE TABLE call(
  episode INTEGER NOT NULL, role TEXT NOT NULL, n INTEGER NOT NULL, key TEXT NOT NULL, parent INTEGER,
  prefix INTEGER NOT NULL, tail BLOB NOT NULL, reply BLOB NOT NULL, facts BLOB NOT NULL, info BLOB NOT NULL,
  PRIMARY KEY(episode, role, n)) WITHOUT ROWID"""

PLACES = [
    f"{kind} {n}" for kind in ("cabinet", "drawer", "shelf", "countertop", "sidetable") for n in range(9)
]
THINGS = [
    f"{kind} {n}"
    for kind in ("mug", "soapbar", "pencil", "creditcard", "plate", "keychain")
    for n in range(9)
]
ASK = Ask(512, ("</s>", "\n\n"))


def instruction(rng: random.Random) -> str:
    lines = [
        f"{n}. You may {rng.choice(['take', 'open', 'heat'])} the {rng.choice(THINGS)} ..." for n in range(40)
    ]
    return "Interact with a household to solve a task. Act as follows.\n" + "\n".join(lines)


def observed(rng: random.Random) -> str:
    seen = ", a ".join(rng.choice(THINGS) for _ in range(rng.randrange(8, 24)))
    return f"You arrive at {rng.choice(PLACES)}. On it, you see a {seen}. The {rng.choice(PLACES)} is closed."


def replied(rng: random.Random) -> str:
    thought = f"THOUGHT: I have to look for the {rng.choice(THINGS)} next, so I go on."
    return f"{thought} ACTION: go to {rng.choice(PLACES)}"


def facts(rng: random.Random, n: int) -> dict[str, object]:
    return {
        "finish_reason": "eos_token", "prompt_tokens": 900 + 97 * n, "output_tokens": 24,
        "seed": rng.getrandbits(31), "endpoint": "http://10.0.0.1:8080", "attempts": 1,
        "latency_s": round(rng.random() * 9, 4), "queue_s": round(rng.random(), 4),
    }  # fmt: skip


def rendered(messages: list[Message]) -> str:
    parts = [
        f" {m.content} </s>" if m.role == "assistant" else f"<s>[INST] {m.content} [/INST]" for m in messages
    ]
    return "".join(parts)


def conversation(turns: int, seed: int = 0) -> list[CallRecord]:
    """One growing conversation, as in ALFWorld."""
    rng, calls, messages = random.Random(seed), [], list[Message]()
    new, info = (Message("user", instruction(rng)),), dict[str, object]()
    for n in range(turns):
        messages.extend(new)
        reply = replied(rng)
        turn = Turn(new, said=None if n % 3 else reply.strip(), ask=ASK, info=info)
        info = {"action": reply.partition("ACTION: ")[2], "reward": 0.0}
        calls.append(CallRecord(n, rendered(messages), reply, facts(rng, n), info, turn=turn))
        messages.append(Message("assistant", reply))
        new = (Message("user", observed(rng)),)
    return calls


def fresh(turns: int, seed: int = 0) -> list[CallRecord]:
    """A new context for every call that repeats all that was, as in MiniWoB."""
    calls = conversation(turns, seed)
    whole = [(Message("user", call.prompt[11:-8]),) for call in calls]
    return [replace(c, turn=Turn(new, fresh=True, ask=ASK)) for c, new in zip(calls, whole, strict=True)]


def raw(turns: int, seed: int = 0) -> list[CallRecord]:
    """A raw completion prompt that grows, as in HotpotQA."""
    return [replace(c, turn=Turn(raw=c.prompt, ask=ASK)) for c in conversation(turns, seed)]


def as_version_1(calls: list[CallRecord]) -> list[tuple[object, ...]]:
    """The rows that version 1 made of the same calls: four frames each, and no turns."""
    codec, rows, before = Codec(), list[tuple[object, ...]](), None
    for c in calls:
        prefix = shared_prefix(before.prompt, c.prompt) if before else 0
        texts = codec.pack(c.prompt[prefix:]), codec.pack(c.reply)
        logs = codec.pack_json(c.facts), codec.pack_json(c.info)
        rows.append((1, c.role, c.n, c.key, before.n if before else None, prefix, *texts, *logs))
        before = c
    return rows


def blobs(rows: list[tuple[object, ...]]) -> int:
    return sum(len(value) for row in rows for value in row if isinstance(value, bytes))


SHAPES = [conversation, fresh, raw]


@pytest.mark.parametrize("shape", SHAPES)
def test_forty_turns_take_at_most_a_quarter_more_than_version_1(shape: Callable[..., list[CallRecord]]):
    calls = shape(40)
    before, now = blobs(as_version_1(calls)), blobs(list(Codec().rows(calls)))
    assert now <= 1.25 * before, f"{now} bytes, version 1 {before}: {now / before:.2f}"
    assert Codec().records(Codec().rows(calls)) == calls


@pytest.mark.parametrize("shape", SHAPES)
def test_bytes_grow_linearly_with_turns(shape: Callable[..., list[CallRecord]]):
    few, many = (blobs(list(Codec().rows(shape(turns)))) for turns in (20, 160))
    assert many <= 8.5 * few


def test_the_file_grows_no_more_than_its_texts(tmp_path: Path):
    """Pages count as well: a table whose rows spill over takes twice what its texts do."""
    old = sqlite3.connect(tmp_path / "old.sqlite")
    old.execute(VERSION_1)
    store = Store(tmp_path / "run.sqlite")
    for n in range(10):
        calls = conversation(40, seed=n)
        rows = [(n, *row[1:]) for row in as_version_1(calls)]
        old.executemany("INSERT INTO call VALUES(?,?,?,?,?,?,?,?,?,?)", rows)
        store.add(Attempt("t", 1, f"s{n}", 0, outcome="scored", value=1.0, calls=calls, last=Turn()))
    old.commit()
    old.close()
    store.close()
    before, now = ((tmp_path / name).stat().st_size for name in ("old.sqlite", "run.sqlite"))
    assert now <= 1.25 * before, f"{now} bytes, version 1 {before}: {now / before:.2f}"


def test_the_same_log_and_the_same_ask_are_kept_once():
    log = {"page": "x" * 20 + json.dumps(list(range(400)))}
    first = CallRecord(0, "p", "r", info=log, turn=Turn(ask=ASK))
    second = CallRecord(1, "p", "r", turn=Turn(ask=ASK, info=log))
    codec = Codec()
    rows = list(codec.rows([first, second]))
    assert len(rows[1][-1]) < 40
    assert codec.records(rows) == [first, second]
    assert len(codec.pack_last(Turn(info=log), [first])) < 40
    assert codec.unpack_last(codec.pack_last(Turn(info=log), [first]), first) == Turn(info=log)
