"""What the loop keeps of asks, replies and scores: bounded, clean, and within the task's scale."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

from harness.errors import InfraError
from harness.models.outside import paired
from harness.storage.records import Attempt
from harness.types import Ask, Pending, Profile, Reply, Score, TaskSpec, Value

Decoding = Literal["protocol", "greedy", "released"]

REPLY_CHARS = 1 << 16
"""Characters of a reply that an episode, the history and the store see; 4,096 tokens give fewer."""

THOUGHT_CHARS = 1 << 18
"""Characters of a thought that are stored."""

EXCERPT_CHARS = 2000
"""Characters kept of an answer that was read out of the replies, and of its target."""


def as_sent(ask: Ask, decoding: Decoding, profile: Profile) -> Ask:
    """What of an `Ask` is sent under a run's decoding and profile."""
    if decoding == "greedy":
        ask = replace(ask, temperature=None, top_p=None)
    if profile != "paper" and ask.truncate is not None:
        ask = replace(ask, truncate=None)  # the server's cut is upstream's quirk, not a rule of the benchmark
    return ask


def bounded(reply: Reply) -> Reply:
    """The reply as it is used from here on: without halves of characters and of bounded length."""
    text, thought = paired(reply.text), paired(reply.thought)
    if len(thought) > THOUGHT_CHARS:
        reply = replace(reply, notes=(*reply.notes, f"a thought is stored up to {THOUGHT_CHARS} characters"))
    if thought is not reply.thought or len(thought) > THOUGHT_CHARS:
        reply = replace(reply, thought=thought[:THOUGHT_CHARS])
    if len(text) > REPLY_CHARS:
        cut = f"reply cut at {REPLY_CHARS} characters"
        return replace(reply, text=text[:REPLY_CHARS], notes=(*reply.notes, cut))
    return reply if text is reply.text else replace(reply, text=text)


def facts(reply: Reply) -> dict[str, Value | list[float] | list[str]]:
    """What is logged of a reply in addition to its text; empty values are left out."""
    facts: dict[str, Value | list[float] | list[str]] = {
        "choice": reply.choice,
        "logprobs": list(reply.logprobs) if reply.logprobs else None,
        "finish_reason": reply.finish_reason,
        "prompt_tokens": reply.prompt_tokens,
        "output_tokens": reply.output_tokens,
        "method": reply.method,
        "seed": reply.seed,
        "endpoint": reply.endpoint,
        "attempts": reply.attempts,
        "latency_s": round(reply.latency_s, 4),
        "queue_s": round(reply.queue_s, 4),
        "notes": list(reply.notes),
    }
    counted = ("choice", "seed")  # their 0 means something
    return {key: value for key, value in facts.items() if value or (key in counted and value is not None)}


def enter_score(
    score: Score | Pending, attempt: Attempt, stopped: Literal["limit"] | None, spec: TaskSpec
) -> None:
    """Write a score, or what is known before the judge, into the attempt.

    Raises:
        InfraError: the value is outside the task's scale: the grader is broken, not the model.
    """
    attempt.outcome = score.outcome or stopped or "scored"
    attempt.note = "; ".join(part for part in (attempt.note, score.note) if part)
    known = score.partial if isinstance(score, Pending) else score
    if known is not None:
        _check_range(known, spec)
        attempt.answer, attempt.target = _excerpt(known.answer), _excerpt(known.target)
    if isinstance(score, Pending):
        attempt.pending, attempt.metrics = score, dict(score.metrics)
        return
    attempt.value, attempt.metrics = score.value, dict(score.metrics)


def _check_range(score: Score, spec: TaskSpec) -> None:
    top = 1.0 if spec.unit == "percent" else 10.0
    if not (math.isfinite(score.value) and 0.0 <= score.value <= top):
        raise InfraError(f"{spec.name} scored {score.value!r}, outside [0, {top:g}]")


def _excerpt(text: str) -> str:
    return paired(text[:EXCERPT_CHARS])
