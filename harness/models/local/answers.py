"""Finds the loopback server's answers: from a running episode's oracle, or a file of recorded replies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from harness.errors import DataError, MissingPart
from harness.models.api import LiveEpisodes
from harness.models.untrusted import record
from harness.types import CallKey, Observation, Oracle


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its episode, the role and its key when an auxiliary role asks, and the prompt.

    For embeddings the prompt is the JSON list of texts, and the answer that of their vectors.
    """

    key: CallKey
    role: str
    part: str
    prompt: str


class CutThought(str):
    """A reply that is a thought, within which the budget of tokens ran out."""


Answerer = Callable[[Asked], Awaitable[str]]


class NoReply(Exception):
    """There is no answer to a call; sent as 404, which is not retried."""


class TooLong(Exception):
    """The prompt of this call did not fit when the replies were recorded; sent as 413."""


def oracle(live: LiveEpisodes) -> Answerer:
    """Answer from the oracle of the live episode; a repeated call gets the same answer.

    For an auxiliary role the oracle's `role_reply(role, prompt)` answers.
    """

    async def answer(asked: Asked) -> str:
        key = asked.key
        found = live.get(key.task, key.sample, key.repeat)
        if found is None:
            raise NoReply(f"no live episode {key.task} {key.sample} #{key.repeat} was put for the oracle")
        observation = found.observation
        task = found.once(
            (key.call, asked.role, asked.part), lambda: _oracle_reply(found.oracle, observation, asked)
        )
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():  # the answer was cancelled, not this request
                raise NoReply(f"the episode {key.task} {key.sample} #{key.repeat} ended") from None
            raise

    return answer


async def _oracle_reply(task_oracle: Oracle, observation: Observation, asked: Asked) -> str:
    if not asked.role:
        return await task_oracle.reply(observation)
    try:
        return await task_oracle.role_reply(asked.role, asked.prompt)
    except NotImplementedError as error:
        raise NoReply(f"the oracle of {asked.key.task} does not play the role {asked.role}") from error


Ends = Literal["", "context", "thought", "stopped"]
"""How a recording ends: its last reply is repeated; the next prompt did not fit; its last reply is a thought
that was cut off; nobody answered any more."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a line of a replay file holds.

    Attributes:
        replies: of the model under test, in order.
        roles: texts by `role/key`; vectors are kept as JSON text.
        line: where it stands in the file, from 1.
        ends: what came after the replies.
    """

    replies: list[str]
    roles: dict[str, str]
    line: int
    ends: Ends = ""


Recording = Mapping[tuple[str, str, int | None], Recorded]
"""Lines by task, sample and repeat; those without a repeat stand under None."""


def replay(recorded: Recording) -> Answerer:
    """Answer reply number `call`; past the end the last one repeats, unless the recording `ends` otherwise.

    A line with the call's repeat is taken before one that names none.
    """

    async def answer(asked: Asked) -> str:
        key = asked.key
        where = f"task {key.task} sample {key.sample}"
        found = recorded.get((key.task, key.sample, key.repeat)) or recorded.get((key.task, key.sample, None))
        if found is None or not (found.replies or found.ends or asked.role):
            raise NoReply(f"the replay file has no replies for {where} repeat {key.repeat}")
        if asked.role:
            named = f"{asked.role}/{asked.part}"
            if named not in found.roles:
                raise NoReply(f"the replay file has no {named} for {where} repeat {key.repeat}")
            return found.roles[named]
        return _reply(found, key.call, where)

    return answer


def _reply(found: Recorded, call: int, where: str) -> str:
    last = len(found.replies) - 1
    if call > last and found.ends == "context":
        raise TooLong(f"the prompt of call {call} of {where} did not fit when it was recorded")
    if call > last and found.ends == "stopped":
        raise NoReply(f"the recording of {where} stops after {last + 1} replies")
    if call >= last and found.ends == "thought":
        return CutThought(found.replies[last])
    return found.replies[min(call, last)]


def read_replay(path: Path) -> Recording:
    """Read lines of `{"task", "sample", "replies": [...]}`.

    Optional are `"repeat": N`, for which alone the line then stands, and
    `"roles": {"ROLE/KEY": text or list of vectors}`, and `"ends"` (`Ends`).

    Raises:
        MissingPart: no such file.
        DataError: no line, one of another form, or two for the same repeat of a sample.
    """
    if not path.is_file():
        state = "is a folder" if path.is_dir() else "is not there"
        raise MissingPart(
            f"replay file {path} {state}; give a file of JSON lines with task, sample and replies"
        )
    found: dict[tuple[str, str, int | None], Recorded] = {}
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                name, recorded = _line(line, number)
            except (ValueError, KeyError, RecursionError, msgspec.ValidationError) as error:
                raise DataError(
                    f"{path}:{number}: not a replay line ({error}); "
                    'write one {"task", "sample", "replies": [...]} a line'
                ) from error
            if (first := found.get(name)) is not None:
                task, sample, repeat = name
                which = "" if repeat is None else f" repeat {repeat}"
                raise DataError(
                    f"{path}: lines {first.line} and {number} both record {task} {sample}{which}; "
                    'keep one, or tell them apart with "repeat"'
                )
            found[name] = recorded
    if not found:
        raise DataError(f"replay file {path} is empty; harness export RUN --format replay writes one")
    return found


def _line(line: bytes, number: int) -> tuple[tuple[str, str, int | None], Recorded]:
    row = record(
        json.loads(line)
    )  # unlike msgspec it accepts the lone surrogates that a hostile reply may hold
    roles = msgspec.convert(row.get("roles", {}), dict[str, str | list[Any]])
    texts = {name: text if isinstance(text, str) else json.dumps(text) for name, text in roles.items()}
    repeat = msgspec.convert(row.get("repeat"), int | None)
    if repeat is not None and repeat < 0:
        raise ValueError(f"repeat {repeat}: repeats count from 0")
    ends = msgspec.convert(row.get("ends", ""), Ends)
    recorded = Recorded(msgspec.convert(row["replies"], list[str]), texts, number, ends)
    if ends == "thought" and not recorded.replies:
        raise ValueError("it ends in a thought, and has no replies")
    return (str(row["task"]), str(row["sample"]), repeat), recorded
