"""Finds out whether a server does what a request asks: temperature, seed, stop strings, no own penalties.

What may end a run is concluded from three replies at least, as one pair may agree or differ by chance.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness.errors import HarnessError, RequestRejected
from harness.models.api import Call, Model
from harness.models.clients.base import BaseModel
from harness.models.clients.openai import CompletionsModel
from harness.models.pool.endpoint import Endpoint
from harness.types import Ask, CallKey, Message

Asked = Literal["temperature", "greedy", "seed", "stop", "penalties"]

_KEY = CallKey("doctor", "probe", 0, 0)
_TALK = (Message("user", "Write down random words, one after the other."),)
_TOKENS, _HOT, _DEADLINE_S = 16, 1.8, 120.0
_SEEDS = (11, 12, 13)
_TELLING = 8
"""Characters of a text from which something follows: a word may well be the same under every seed."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Something that a server was asked for and does not do.

    Attributes:
        asked: what; `temperature` is one above 0, `greedy` one of 0.
        told: what was observed.
    """

    asked: Asked
    told: str

    def __str__(self) -> str:
        return f"{self.asked} ({self.told})"


def over_openai(model: Model) -> bool:
    """Whether a model is asked over OpenAI's protocol, whose servers differ in what they do."""
    return isinstance(model, CompletionsModel)


async def ignored(model: Model) -> list[Ignored] | None:
    """Ask for a few short replies and say what a server ignored; None when all are too short to tell.

    Replicas of one kind and version share their replies; those of another version are asked for their own.

    Raises:
        HarnessError: one does not answer.
    """
    if not isinstance(model, BaseModel) or model.entry.local:
        return None
    groups = _alike(model.pool.endpoints)
    found: list[Ignored] | None = None
    for group in groups:
        async with model.at(group) as part:
            ignores = await _ignored(part)
        if ignores is not None:
            where = f" at {group[0].url}" if len(groups) > 1 else ""
            found = [*(found or ()), *(Ignored(one.asked, one.told + where) for one in ignores)]
    return found


def _alike(endpoints: Sequence[Endpoint]) -> list[list[Endpoint]]:
    """Those that answer, by the kind and the version of their server."""
    groups: dict[tuple[str, str, str], list[Endpoint]] = {}
    for one in endpoints:
        if one.healthy and (able := one.capabilities) is not None:
            groups.setdefault((able.software, able.version, able.build), []).append(one)
    return list(groups.values()) or [list(endpoints)]


async def _ignored(model: BaseModel) -> list[Ignored] | None:
    greedy = [await _text(model, Ask(_TOKENS)) for _ in range(2)]
    if max(map(len, greedy)) < _TELLING:
        return None
    if greedy[0] != greedy[1] and await _text(model, Ask(_TOKENS)) not in greedy:
        return [Ignored("greedy", "three different texts at temperature 0"), *await _drawn(model, greedy[0])]
    return [
        *await _drawn(model, greedy[0]),
        *await _stopped(model, greedy[0]),
        *await _penalised(model, greedy[0]),
    ]


async def _drawn(model: BaseModel, greedy: str) -> list[Ignored]:
    """Replies at a high temperature: other seeds give other texts, the same seed the same."""
    hot = Ask(_TOKENS, temperature=_HOT)
    texts = await asyncio.gather(*(_text(model, hot, seed=seed) for seed in _SEEDS))
    if len(set(texts)) == 1:
        same = f"three seeds give one text at temperature {_HOT:g}"
        return [Ignored("temperature", f"{same}, the greedy one" if texts[0] == greedy else same)]
    again = [await _text(model, hot, seed=_SEEDS[0]) for _ in range(2)]
    return [] if texts[0] in again else [Ignored("seed", "one seed gives three texts")]


async def _stopped(model: BaseModel, greedy: str) -> list[Ignored]:
    """A word from the middle of the greedy text ends the reply; a text without such a word tells nothing."""
    words = greedy.split()
    stop = words[len(words) // 2] if len(words) > 3 else ""
    if not stop or len(greedy.partition(stop)[2]) < 4:
        return []
    found = await _text(model, Ask(_TOKENS, stop=(stop,)))
    return [Ignored("stop", "the reply went on behind a stop string")] if found == greedy else []


async def _penalised(model: BaseModel, greedy: str) -> list[Ignored]:
    """Greedy text changes with fields that ask for no penalty: the server has one, and no field is sent."""
    if not isinstance(model, CompletionsModel):
        return []
    if model.dialect.server.neutral:
        return []  # those are sent with every request
    try:
        neutral = await _text(model, Ask(_TOKENS), {"neutral": True})
    except RequestRejected:
        return []
    if neutral == greedy or await _text(model, Ask(_TOKENS)) != greedy:
        return []
    return [Ignored("penalties", "greedy text changes with neutral penalties: the server has its own")]


async def changes_greedy(model: Model) -> bool:
    """Whether the neutral values that are sent change the greedy text of this server."""
    if not isinstance(model, CompletionsModel) or not model.dialect.server.neutral:
        return False
    sent, bare = await asyncio.gather(
        _text(model, Ask(_TOKENS)), _text(model, Ask(_TOKENS), {"neutral": False})
    )
    return sent != bare


async def _text(
    model: BaseModel, ask: Ask, extra: Mapping[str, Any] | None = None, *, seed: int | None = None
) -> str:
    call = Call(_KEY, _TALK, None, ask, seed=seed, deadline_s=_DEADLINE_S)
    prompt = replace(model.prompt(call), quiet=False)  # a thought, too, ends at what the server is told
    return (await model.generate(call, prompt, extra or {})).text


async def unfit(model: Model, drawn: Mapping[str, str], found: list[Ignored]) -> list[str]:
    """Lines for the tasks that need what a server ignores.

    Args:
        model: one whose endpoints answer.
        drawn: for each task, how it does without drawn replies; empty for one that is greedy.
        found: is filled with what the server ignores.
    """
    try:
        found += await ignored(model) or ()
    except HarnessError as error:
        return [f"{model.name}: its sampling cannot be tried ({error}): see its log"]
    lines: list[str] = []
    for one in found:
        if one.asked == "temperature":
            lines += [_line(task, model, one, fix) for task, fix in drawn.items() if fix]
        elif one.asked == "greedy":
            fix = "use a server that takes temperature 0"
            lines += [_line(task, model, one, fix) for task, needed in drawn.items() if not needed]
    return lines


def _line(task: str, model: Model, one: Ignored, fix: str) -> str:
    what = "temperature 0" if one.asked == "greedy" else "the temperature"
    return f"{task}: {model.name} ignores {what} ({one.told}): {fix}"
