"""The store: one final attempt per item, every attempt kept, texts exact, growth linear."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bodies import Bodies, shared_prefix
from harness.errors import StoreError
from harness.store import Attempt, CallRecord, Item, Store
from harness.types import Ask, JudgeAsk, Message, Pending

ANY = st.characters()
"""Lone surrogates included: model text may hold them."""


def attempt(sample: str = "a", outcome: str = "scored", value: float | None = 1.0, **more) -> Attempt:
    return Attempt("t", 1, sample, 0, outcome=outcome, value=value, **more)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path):
    opened = Store(tmp_path / "run.sqlite")
    yield opened
    opened.close()


def test_only_one_attempt_is_final(store: Store):
    assert store.add(attempt(value=0.25)) is True
    assert store.add(attempt(value=0.75)) is False
    rows = list(store.attempts())
    assert [(row.final, row.value) for row in rows] == [(True, 0.25), (False, 0.75)]
    assert "late" in rows[1].note
    assert store.final_items() == {Item("t", 1, "a", 0)}


def test_an_infra_error_is_kept_but_never_final(store: Store):
    assert store.add(attempt(outcome="infra_error", value=None, error="EndpointError: gone")) is False
    assert store.final_items() == set()
    assert store.add(attempt()) is True
    assert [row.outcome for row in store.attempts()] == ["infra_error", "scored"]


def test_another_task_version_is_another_item(store: Store):
    store.add(attempt())
    newer = attempt()
    newer.version = 2
    assert store.add(newer) is True


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(st.characters(), max_size=300), st.text(st.characters(), max_size=50)), max_size=8
    )
)
def test_prompts_and_replies_come_back_exact(pairs: list[tuple[str, str]]):
    bodies = Bodies()
    calls = [
        CallRecord(n, prompt, reply, {"n": n}, {"raw": reply}) for n, (prompt, reply) in enumerate(pairs)
    ]
    found = bodies.records(list(bodies.rows(1, calls)))
    assert [(c.prompt, c.reply) for c in found] == pairs


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_shared_prefix_is_the_longest(head: str, a: str, b: str):
    expected = len(os.path.commonprefix([head + a, head + b]))  # noqa: RUF071 - characters are meant
    assert shared_prefix(head + a, head + b) == expected


def transcript(turns: int) -> list[CallRecord]:
    prompt, calls = "system and exemplars " * 100, []
    for n in range(turns):
        prompt += f"\nobservation {n}: " + " ".join(f"thing{(n * 37 + k) % 1009}" for k in range(60))
        reply = f"Action: go to thing{n * 31 % 1009}"
        calls.append(CallRecord(n, prompt, reply))
        prompt += reply
    return calls


def test_bytes_grow_linearly_with_turns():
    def size(turns: int) -> int:
        return sum(len(row[6]) + len(row[7]) for row in Bodies().rows(1, transcript(turns)))

    assert size(40) <= 2.2 * size(20)


def test_pending_episodes_and_verdicts_come_back(store: Store):
    asks = (JudgeAsk("turn1", (Message("user", "rate \ud800 this"),), Ask(16), {"id": 3}),)
    store.add(attempt(value=None, pending=Pending(asks)))
    row = next(store.attempts(final_only=True))
    assert row.pending is not None
    assert row.pending.items[0].key == "turn1"
    assert row.pending.items[0].ask == Ask(16)
    store.put_verdict(row.id, "turn1", 0, "judge", "hash", "[[7]]")
    store.put_verdict(row.id, "turn1", 0, "judge", "hash", "[[1]]")  # a second writer changes nothing
    assert store.verdicts(row.id, "judge") == {("turn1", 0): "[[7]]"}
    assert store.cached_verdict("judge", "hash", 0) == "[[7]]"
    assert store.cached_verdict("other", "hash", 0) is None
    store.value_pending(row.id, 7.0, {"turn1": 7.0}, "")
    assert next(store.attempts()).row().value == 7.0


def test_a_store_in_an_unwritable_place_names_the_fix(tmp_path: Path):
    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    with pytest.raises(StoreError, match="cannot open the run's store"):
        Store(blocker / "run.sqlite")


def test_a_full_disk_stops_and_keeps_what_was_committed(tmp_path: Path):
    """A file-size limit in a child process stands in for the full disk: the write really fails."""
    program = f"""
import resource, signal
from harness.store import Store, Attempt, CallRecord
from harness.errors import StoreError
import os
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store(__import__("pathlib").Path({str(tmp_path / "run.sqlite")!r}))
store.add(Attempt("t", 1, "first", 0, outcome="scored", value=1.0))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    for n in range(1000):
        noise = os.urandom(20_000).hex()
        calls = [CallRecord(0, noise, "")]
        store.add(Attempt("t", 1, f"s{{n}}", 0, outcome="scored", value=1.0, calls=calls))
except StoreError as error:
    print("stopped:", error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert "stopped: cannot write the run's store" in done.stdout
    store = Store(tmp_path / "run.sqlite")
    assert Item("t", 1, "first", 0) in store.final_items()
    store.close()
