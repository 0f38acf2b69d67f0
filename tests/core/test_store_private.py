"""A private task leaves no text of its data in the file, in no shape."""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from store_adding import added
from stored_texts import texts_of

from harness.storage.private import without_texts
from harness.storage.records import Attempt, CallRecord, Turn
from harness.storage.store import Store
from harness.types import Ask, Message

SECRET = "the secret question of a private benchmark"


def private_attempt() -> Attempt:
    ask = Ask(16, ("</s>",), choices=(SECRET + " a", SECRET + " b"), prefix=SECRET)
    turn = Turn(
        (Message("user", SECRET, "task"),), said=SECRET, raw=SECRET, ask=ask, kept=((0, 1),),
        changed=((0, 3, SECRET),), info={SECRET: [SECRET]},
    )  # fmt: skip
    calls = [
        CallRecord(0, SECRET, SECRET + "!", {"prompt_tokens": 5}, {"log": SECRET}, turn=turn, thought=SECRET),
        CallRecord(1, SECRET + " more", SECRET, {"prompt_tokens": 6}, turn=turn),
        CallRecord(0, SECRET, SECRET, role="tool", key="0"),
    ]
    return Attempt(
        "t", 1, "s", 0, outcome="scored", value=0.5, metrics={"f1": 0.5}, calls=calls, labels={"site": "x"},
        cluster="page", answer=SECRET, target=SECRET, last=turn, note="seen",
    )  # fmt: skip


def stored(path: Path, *, private: bool) -> Store:
    store = Store(path)
    attempt = private_attempt()
    assert added(store, without_texts(attempt) if private else attempt)
    store.close()
    return Store(path, readonly=True)


def test_no_text_of_a_private_task_is_in_the_file(tmp_path: Path):
    for private in (False, True):
        stored(tmp_path / f"{private}.sqlite", private=private).close()
        assert any(b"secret" in text for text in texts_of(tmp_path / f"{private}.sqlite")) != private


def test_hashes_lengths_and_numbers_stay(tmp_path: Path):
    store = stored(tmp_path / "run.sqlite", private=True)
    row = next(store.attempts())
    known = f"sha256:{sha256(SECRET.encode()).hexdigest()} length:{len(SECRET)}"
    assert (row.answer, row.target, row.value, row.metrics) == (known, known, 0.5, {"f1": 0.5})
    assert (row.labels, row.cluster, row.note, row.calls) == ({"site": "x"}, "page", "seen", 2)
    first, second = store.calls(1)
    assert (first.prompt, first.facts) == (known, {"prompt_tokens": 5})
    assert first.reply == f"sha256:{sha256((SECRET + '!').encode()).hexdigest()} length:{len(SECRET) + 1}"
    assert (first.thought, second.thought) == (known, "")
    assert second.prompt.endswith(f" length:{len(SECRET) + 5}")
    assert first.turn is not None and first.turn.messages == (Message("user", known, "task"),)
    assert first.turn.ask is not None and first.turn.ask.stop == ("</s>",)
    assert store.calls(1, "tool")[0].prompt == known
    assert store.last(1) is not None
    store.close()


def test_the_attempt_itself_is_left_as_it_was():
    attempt = private_attempt()
    without_texts(attempt)
    assert attempt.calls == private_attempt().calls
    assert attempt.answer == SECRET


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (f"EndpointError: 500: {SECRET}", "EndpointError"),
        (f"Traceback (most recent call last):\n  File\nlxml.SyntaxError: {SECRET}\nSecret: x", "SyntaxError"),
        ("Traceback (most recent call last):\n  File\nKeyError\n", "KeyError"),
        (SECRET, "failure"),
    ],
)  # fmt: skip
def test_of_an_error_only_its_kind_stays(error: str, kind: str):
    kept = without_texts(replace(private_attempt(), error=error)).error
    assert kept.startswith(f"{kind}: sha256:") and "secret" not in kept
    assert "--trace-private" in kept


def test_a_servers_words_on_a_long_prompt_do_not_stay():
    refused = replace(private_attempt(), note=f"context: too long: {SECRET}; answers B")
    assert re.fullmatch(r"context: sha256:\w+ length:\d+", without_texts(refused).note)
