"""What tasks are written with: JSON lines, answers read out of replies, the single-turn base."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest
from contexts import task_context

from harness.authoring import SingleTurn, jsonl, write_jsonl
from harness.authoring.answers import first_choice, last_number
from harness.errors import DataError
from harness.types import Ask, Message, Observation, Reply, Sample, Score, TaskSpec

ROWS = [{"a": 1, "b": "x\u2028y"}, {"a": 2, "b": "z"}]


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = write_jsonl(tmp_path / "new" / "rows.jsonl", ROWS)
    assert list(jsonl(written, fields={"a": int, "b": str})) == ROWS
    raw = "\n\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode()
    (tmp_path / "raw.jsonl").write_bytes(raw)
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(raw))
    assert list(jsonl(tmp_path / "raw.jsonl")) == list(jsonl(tmp_path / "rows.jsonl.gz")) == ROWS


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (b"{", "no JSON (Expecting"),
        (b"[1]", "no JSON object"),
        (b"\xff", "no JSON ('utf-8'"),
        (b"[" * 100_000, "no JSON (maximum recursion"),
        (b'{"a": ' + b"9" * 5000 + b"}", "no JSON (Exceeds the limit"),
        (b'{"b": 1}', "'a' is missing"),
        (b'{"a": "1"}', "'a' is no int"),
        (b'{"a": 1, "b": "' + b"x" * 200_000 + b'"}', "more than 150000 bytes"),
    ],
)
def test_a_damaged_line_is_named_with_the_fix(line: bytes, wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n\n' + line + b'\n{"a": 3}\n')
    read = jsonl(path, fields={"a": int}, fix="write it anew", longest=150_000)
    assert next(read) == {"a": 1}
    with pytest.raises(DataError) as caught:
        next(read)
    assert str(caught.value).startswith(f"{path}:3: {wrong}")
    assert str(caught.value).endswith("; write it anew")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_or_cut_is_named_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl is missing; `harness doctor` says how to get it"):
        list(jsonl(tmp_path / "rows.jsonl"))
    with pytest.raises(DataError, match="cannot be read"):
        list(jsonl(tmp_path))
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b'{"a": 1}\n' * 1000)[:-12])
    with pytest.raises(DataError, match=r"cut\.gz cannot be read"):
        list(jsonl(tmp_path / "cut.gz"))


def test_answers_are_read_out_of_sentences() -> None:
    assert last_number("of 12 there are -$1,234.50 left") == Decimal("-1234.50")
    assert last_number("a 3 and a 4") == Decimal(4)
    assert (last_number("none"), last_number("")) == (None, None)
    assert first_choice("The answer: (B), not C", "ABC") == "B"
    assert first_choice("Because", "ABC") is None
    assert first_choice("it is not so", ("no", "not so")) == "not so"


class Echo(SingleTurn):
    """The right reply is the sample's word; what is shared counts how often it was read."""

    spec = TaskSpec("echo", 1, "general", "accuracy")
    read = 0

    def shared(self, ctx):
        self.read += 1
        return f"shared {self.read}"

    def samples(self, cfg):
        return [Sample(word, {"word": word}) for word in ("one", "two")]

    def question(self, sample, shared):
        return Observation((Message("user", f"{shared}: say {sample.data['word']}"),), Ask(8))

    async def value(self, sample, reply, shared):
        return Score(float(reply.text == sample.data["word"]), note=shared)

    def gold(self, sample, asked):
        return asked.messages[0].content.rpartition(" ")[2]

    def info(self, score):
        return {"note": score.note}


async def test_a_single_turn_task_plays_scores_and_has_an_oracle(tmp_path: Path) -> None:
    task = Echo()
    ctx = task_context(task, tmp_path, tmp_path)
    async with task.world(ctx) as world:
        for sample in task.samples(ctx):
            episode = await world.episode(sample, {}, 0)
            asked = await episode.reset()
            assert asked.messages[0].content == f"shared 1: say {sample.id}"
            assert await episode.score() == Score(0.0, note="shared 1")
            done = await episode.step(Reply(await task.oracle(ctx, sample).reply(asked)))
            assert (done.done, done.info) == (True, {"note": "shared 1"})
            assert await episode.score() == Score(1.0, note="shared 1")
            await episode.close()
    assert task.read == 1
