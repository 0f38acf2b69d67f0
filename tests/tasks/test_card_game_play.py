"""Games of the card game through the loop: tries, endings, seeds, scores and the oracle."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from card_kit import NONSENSE, context, is_guess, legal, play, told, transcripts
from contexts import samples_of

from harness.errors import DataError
from harness.models.api import Call
from harness.running.bench import Bench
from harness.types import Row
from tasks.card_game import rows, score
from tasks.card_game.episode import SOCKET_BYTES
from tasks.card_game.task import TASK


async def test_an_always_invalid_model_is_asked_five_and_five_times():
    for name in ("ext/baseline1/0/0", "ext/baseline2/1/1"):
        attempt, calls = await play(context(), name, lambda call: NONSENSE)
        assert [is_guess(call) for call in calls] == [True] * 5 + [False] * 5
        assert len({call.prompt for call in calls[:5]}) == len({call.prompt for call in calls[5:]}) == 1
        assert (attempt.outcome, attempt.value) == ("model_error", 0.0)
        assert attempt.metrics["ended/agent_invalid"] == 1.0
        assert (attempt.metrics["tries_per_step"], attempt.metrics["distinct_per_step"]) == (5.0, 1.0)
        assert attempt.metrics["valid_format"] == 0.0


async def test_a_step_is_passed_at_the_fifth_try_and_only_what_was_accepted_is_shown():
    tries: list[str] = []

    def answer(call: Call) -> str:
        tries.append(f"{NONSENSE} number {len(tries)}")
        return tries[-1] if len(tries) % 5 else legal(call)

    attempt, calls = await play(context(), "ext/baseline1/0/0", answer)
    assert attempt.outcome == "scored"
    assert attempt.metrics["tries_per_step"] == attempt.metrics["distinct_per_step"] == 5.0
    assert attempt.metrics["valid_format"] == 0.2
    assert all("number" not in message.content for call in calls for message in call.messages)


@pytest.mark.parametrize("legacy", [True, False])
async def test_an_empty_reply_loses_or_is_one_try(legacy: bool):
    attempt, calls = await play(context(legacy_socket_limits=legacy), "ext/baseline1/0/0", lambda call: "")
    assert len(calls) == (1 if legacy else 10)
    assert attempt.outcome == "model_error"
    assert attempt.metrics["ended/timeout" if legacy else "ended/agent_invalid"] == 1.0


@pytest.mark.parametrize("legacy", [True, False])
async def test_a_call_over_ten_thousand_bytes_loses_or_is_made(legacy: bool, mirror: Path):
    def answer(call: Call) -> str:
        return "é" * 450 + legal(call)  # 2,700 bytes, as JSON escapes it

    def size(call: Call) -> int:
        sent = [{"role": "user", "content": message.content} for message in call.messages]
        return len(json.dumps(sent).replace('"user"', '"agent"', len(sent) // 2))

    ctx = context(mirror / "cardgame", legacy_socket_limits=legacy)
    attempt, calls = await play(ctx, "ext/baseline2/0/0", answer)
    longest = max(map(size, calls))
    if legacy:
        assert longest <= SOCKET_BYTES
        assert (attempt.outcome, attempt.value) == ("limit", 0.0)
        assert attempt.metrics["ended/timeout"] == 1.0
    else:
        assert longest > SOCKET_BYTES
        assert attempt.metrics["ended/timeout"] == 0.0


async def test_a_guess_about_a_known_fish_counts_as_none():
    """Upstream's client leaves it out; the engine would count it as a loss."""

    def answer(call: Call) -> str:
        kinds = ("spray", "flame", "eel", "sunfish")
        kind = kinds[len(calls_of_guesses) % 4]
        if is_guess(call):
            calls_of_guesses.append(call)
            return json.dumps({"guess_type": kind, "target_position": told(call.messages[-1].content, 1)[2]})
        return legal(call)

    calls_of_guesses: list[Call] = []
    attempt, _ = await play(context(), "ext/baseline1/0/1", answer)
    assert attempt.metrics["ended/agent_error"] == 0.0
    right = [told(call.messages[-1].content, 0) for call in calls_of_guesses]
    assert "True" in right, "one of four guesses at a place is right, and the next finds it known"


PROGRAM = f"""
import asyncio, json, sys
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1] / "support")]!r}
from card_kit import context, transcripts
print(json.dumps(asyncio.run(transcripts(context(), json.loads(sys.argv[1])))))
"""


async def test_the_same_seed_gives_the_same_game_in_any_order_and_process():
    names = [
        f"ext/{opponent}/{side}/{n}"
        for opponent in ("baseline1", "baseline2")
        for side in (0, 1)
        for n in (0, 1)
    ]
    first = await transcripts(context(), names)
    assert await transcripts(context(), names[::-1]) == first
    assert len(set(first.values())) == len(names)
    env = {**os.environ, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", PROGRAM, json.dumps(names[::-1])]
    done = await asyncio.to_thread(
        subprocess.run, command, env=env, capture_output=True, text=True, timeout=120, check=True
    )
    assert json.loads(done.stdout) == first


async def test_the_oracle_wins_nearly_all_of_the_real_split(mirror: Path):
    """The quick part: a tenth of `ext`; all of it below."""
    names = [
        f"ext/{opponent}/{side}/{n}"
        for opponent in ("baseline1", "baseline2")
        for side in (0, 1)
        for n in range(5)
    ]
    found = [await play(context(mirror / "cardgame"), name) for name in names]
    assert sum(attempt.value or 0.0 for attempt, _ in found) >= 18


@pytest.mark.full
@pytest.mark.parametrize("profile", ["paper", "fixed"])
async def test_the_oracle_reaches_the_ceiling_on_all_of_ext(mirror: Path, profile: Any):
    ctx = context(mirror / "cardgame", profile=profile)
    samples = samples_of(TASK, ctx)
    assert len(samples) == TASK.spec.paper_n
    async with TASK.world(ctx) as world:
        bench = Bench(TASK, ctx, world, list(samples))
        attempts = [await bench.oracle(sample) for sample in samples]
    assert bench.headline(attempts) == pytest.approx(TASK.spec.ceiling[profile, "mirror"])
    assert bench.headline(attempts) >= 93


def test_samples_come_in_upstreams_order(mirror: Path, tmp_path: Path):
    counts = {split: len(rows.samples(mirror / "cardgame", split)) for split in TASK.spec.splits}
    assert counts == {"ext": 200, "std": 20, "dev": 12}
    ids = [sample.id for sample in rows.samples(mirror / "cardgame", "dev")]
    assert ids[:4] == ["dev/baseline1/0/0", "dev/baseline1/0/1", "dev/baseline1/0/2", "dev/baseline1/1/0"]
    assert ids[-1] == "dev/baseline2/1/2"
    with pytest.raises(DataError, match="harness doctor"):
        rows.samples(tmp_path, "ext")
    for text in ("", "test_time: 0", "test_time: many", "test_time: 999999"):
        (tmp_path / rows.FOLDER).mkdir(parents=True, exist_ok=True)
        (tmp_path / rows.FOLDER / "ext.yaml").write_text(text)
        with pytest.raises(DataError, match="test_time"):
            rows.samples(tmp_path, "ext")


def test_rates_are_told_by_opponent_and_side():
    games = [("baseline1", 0, 1.0), ("baseline1", 0, 0.0), ("baseline1", 1, 1.0), ("baseline2", 1, 0.0)]
    found = score.aggregate(
        [Row(f"ext/{o}/{s}/{n}", 0, "scored", v, {}, rows.labels(o, s)) for n, (o, s, v) in enumerate(games)]
    )
    assert found == {
        "win_rate": 0.5,
        "win_rate/baseline1/0": 0.5,
        "win_rate/baseline1/1": 1.0,
        "win_rate/baseline2/1": 0.0,
    }
    assert score.aggregate([]) == {}


async def test_random_play_is_told_beside_the_score():
    async with TASK.world(context()) as world:
        (note,) = world.notes
    assert "random legal play wins 25.45 %" in note and "baseline2/1 0" in note
