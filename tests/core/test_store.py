"""The store: one final attempt per item, every attempt kept, texts exact, growth linear."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_adding import added

from harness.errors import StoreError
from harness.storage.codec import Codec, shared_prefix
from harness.storage.records import Turn
from harness.storage.store import Attempt, CallRecord, EpisodeKey, Store
from harness.types import Ask, JudgeAsk, Message, Pending, Score

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
    assert added(store, attempt(value=0.25)) is True
    assert added(store, attempt(value=0.75)) is False
    rows = list(store.attempts())
    assert [(row.final, row.value) for row in rows] == [(True, 0.25), (False, 0.75)]
    assert "late" in rows[1].note
    assert store.final_items() == {EpisodeKey("t", 1, "a", 0)}


def test_an_infra_error_is_kept_but_never_final(store: Store):
    assert added(store, attempt(outcome="infra_error", value=None, error="EndpointError: gone")) is False
    assert store.final_items() == set()
    assert added(store, attempt()) is True
    assert [row.outcome for row in store.attempts()] == ["infra_error", "scored"]


def test_another_task_version_is_another_item(store: Store):
    store.add(attempt())
    newer = attempt()
    newer.version = 2
    assert added(store, newer) is True


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(st.characters(), max_size=300), st.text(st.characters(), max_size=50)), max_size=8
    )
)
def test_prompts_and_replies_come_back_exact(pairs: list[tuple[str, str]]):
    codec = Codec()
    calls = [
        CallRecord(n, prompt, reply, {"n": n}, {"raw": reply}) for n, (prompt, reply) in enumerate(pairs)
    ]
    found = codec.records(list(codec.rows(calls)))
    assert [(c.prompt, c.reply) for c in found] == pairs


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_shared_prefix_is_the_longest(head: str, a: str, b: str):
    expected = len(os.path.commonprefix([head + a, head + b]))  # noqa: RUF071 - characters are meant
    assert shared_prefix(head + a, head + b) == expected


def test_pending_episodes_and_verdicts_come_back(store: Store):
    asks = (JudgeAsk("turn1", (Message("user", "rate \ud800 this"),), Ask(16), {"id": 3}),)
    store.add(attempt(value=None, pending=Pending(asks)))
    row = next(store.attempts(final_only=True))
    assert row.pending is not None
    assert row.pending.items[0].key == "turn1"
    assert row.pending.items[0].ask == Ask(16)
    store.put_verdict(row.id, "turn1", 0, "judge", "hash", "[[7]]")
    store.put_verdict(
        row.id, "turn1", 0, "judge", "hash", "[[1]]"
    )  # asked again, it takes the first one's place
    assert store.verdicts(row.id, "judge") == {("turn1", 0): "[[1]]"}
    assert store.cached_verdict("judge", "hash", 0) == "[[1]]"
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
from harness.storage.store import Store, Attempt, CallRecord
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
    assert EpisodeKey("t", 1, "first", 0) in store.final_items()
    store.close()


# -- what no attempt may do: make the store raise

HOSTILE = (
    "plain",
    "\ud800",
    "\ud83d\ude00",
    "a\x00b",
    "é😀",
    "\udfff" * 40 + " long enough to be looked for",
    "",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_stored_and_those_of_calls_come_back_exact(tmp_path: Path, text: str):
    ask = Ask(5, (text,), choices=(text, "b"), prefix=text)
    turn = Turn(
        (Message("user", text, "task"),), said=text, ask=ask, kept=((0, 1),), changed=((0, 0, text),),
        info={text: [text]},
    )  # fmt: skip
    calls = [
        CallRecord(0, f"[{text}]", text, {"note": text}, {text: text}, turn=turn),
        CallRecord(1, f"[{text}]{text}", text, turn=Turn(raw=f"[{text}]", ask=ask)),
        CallRecord(0, text, text, role="judge", key=text),
    ]
    tried = attempt(text, note=text, error=text, labels={text: text}, cluster=text, answer=text, target=text)
    tried.metrics, tried.calls, tried.last = {text: 1.0}, calls, turn
    tried.pending = Pending((JudgeAsk(text, (Message("user", text),), ask, {text: text}),), text)
    store = Store(tmp_path / "run.sqlite")
    store.plan([EpisodeKey("t", 1, text, 0)])
    store.set_meta(text, {text: text})
    store.beat({text: text})
    store.add_command({"argv": [text]})
    assert added(store, tried)
    row = next(store.attempts())
    assert store.calls(row.id) == calls[:2]
    assert store.last(row.id) == turn
    assert store.calls(row.id, "judge")[0].prompt == text
    assert row.pending is not None and row.pending.items[0].messages[0].content == text
    store.put_verdict(row.id, row.pending.items[0].key, 0, "j", "p", text)
    assert store.verdicts(row.id, "j") == {(row.pending.items[0].key, 0): text}
    shown = text.encode("utf-8", "backslashreplace").decode("utf-8")
    assert (row.labels, row.answer, row.metrics) == ({shown: shown}, shown, {shown: 1.0})
    assert store.meta(text) == {shown: shown}
    assert store.final_items() == set(store.planned())
    store.close()


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def within_itself() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


VALUES = {
    "big": 10**40,
    "beyond printing": -(10**5000),
    "nan": float("nan"),
    "inf": float("-inf"),
    "set": {1, 2},
    "tuple key": {(1, 2): 3},
    "bytes": b"\xff",
    "raising repr": Odd(),
    "within itself": within_itself(),
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_hostile_values_in_logs_lose_nothing_else(store: Store, value: object):
    info = {"value": value, "beside": "kept"}
    call = CallRecord(0, "prompt", "reply", info, info, turn=Turn(info=info))
    assert added(store, attempt(calls=[call], last=Turn(info=info)))
    found = store.calls(1)[0]
    assert (found.prompt, found.reply) == ("prompt", "reply")
    assert found.facts["beside"] == found.info["beside"] == "kept"
    assert found.turn is not None and found.turn.info["beside"] == "kept"
    last = store.last(1)
    assert last is not None and last.info["beside"] == "kept"
    store.set_meta("model", info)
    assert store.meta("model")["beside"] == "kept"


def test_numbers_beyond_what_the_file_holds_are_clamped(store: Store):
    big = attempt(prompt_tokens=10**30, output_tokens=-(10**30), seconds=float("nan"), started=float("inf"))
    assert added(store, big)
    row = next(store.attempts())
    assert (row.prompt_tokens, row.output_tokens, row.seconds) == (2**63 - 1, -(2**63), 0.0)


def test_metrics_that_are_no_numbers_are_named_and_left_out(store: Store):
    odd = {"paper": 1, "nan": float("nan"), "inf": float("inf"), "big": 10**400, "text": "x"}
    assert added(store, attempt(metrics=odd))
    row = next(store.attempts())
    assert row.metrics == {"paper": 1}
    assert all(name in row.note for name in ("nan (nan)", "inf (inf)", "big (1", "text ('x')"))
    store.value_pending(row.id, 0.5, odd, "judged")
    row = next(store.attempts())
    assert row.metrics == {"paper": 1} and row.note.startswith("judged; metrics that are no numbers")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400])
def test_a_value_that_is_no_number_is_no_score(store: Store, value: float):
    """SQLite keeps NaN as NULL, which would read as an answer that waits for a judge."""
    odd = attempt(value=value)
    assert added(store, odd) is False
    assert (odd.outcome, odd.value) == ("infra_error", None)
    row = next(store.attempts())
    assert (row.final, row.outcome) == (False, "infra_error")
    assert "value is no number" in row.error


def test_what_is_known_without_the_judge_comes_back(store: Store):
    partial = Score(0.5, {"live": 1.0, "odd": float("nan")}, "page was right", answer="a", target="b")
    store.add(attempt(value=None, pending=Pending((), "waits", "limit", partial)))
    found = next(store.attempts()).pending
    assert found is not None and found.partial is not None
    assert found.partial.metrics == {"live": 1.0}
    assert (found.outcome, found.partial.answer, found.partial.value) == ("limit", "a", 0.5)


def test_answers_are_kept_up_to_their_bound(store: Store):
    store.add(attempt(answer="x" * 5000, target="y" * 1999))
    row = next(store.attempts())
    assert (len(row.answer), len(row.target)) == (2000, 1999)


def test_closing_leaves_one_file(tmp_path: Path):
    store = Store(tmp_path / "run.sqlite")
    store.add(attempt())
    reader = Store(tmp_path / "run.sqlite", readonly=True)  # keeps the WAL from vanishing with its last user
    assert (tmp_path / "run.sqlite-wal").stat().st_size > 0
    store.close()
    assert (tmp_path / "run.sqlite-wal").stat().st_size == 0
    reader.close()
