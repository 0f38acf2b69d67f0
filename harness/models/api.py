"""The interface of a model: a call goes in, a reply comes out."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from harness.types import Ask, CallKey, Message, Observation, Oracle, Reply, Value
from harness.types.empty import empty

Vectors = tuple[tuple[float, ...], ...]
"""One vector for each text."""

DEADLINE_S = 900.0
ORACLE_S = 1800.0
"""Seconds an oracle's reply may take: SciWorld's is found by a search in the game, over minutes."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the model under test.

    Attributes:
        key: names the call; travels in the `X-Harness-*` headers and keeps the episode at one endpoint.
        messages: the whole conversation after the history policy; ignored when `raw` is given.
        raw: a raw completion prompt instead.
        seed: sent only when the request samples.
        deadline_s: retries go on until then, after which it is an `EndpointError`.
        turns_left: which the episode still expects to make; where requests wait, the most go first.
        suite: chooses among a model's templates.
        role: set when an auxiliary role asks, with `part` the key of its question.
        prompt: `messages` as `Model.render` gave them, when the caller has that already.
        decoding: what to send instead of what `ask` says (`--decoding released`); None removes a key.
        extra: further parameters, under the server's own names.
    """

    key: CallKey
    messages: tuple[Message, ...]
    raw: str | None
    ask: Ask
    seed: int | None = None
    deadline_s: float = DEADLINE_S
    turns_left: float = math.inf
    suite: str = ""
    prompt: str = ""
    decoding: Mapping[str, Value] = field(default_factory=empty)
    extra: Mapping[str, Any] = field(default_factory=empty)
    role: str = ""
    part: str = ""


class Model(Protocol):
    """A model behind one or more endpoints."""

    name: str

    @property
    def info(self) -> Mapping[str, Any]:
        """Endpoints, `/info`, capabilities, template ids and hashes, kind, client: for the manifest."""
        ...

    def render(self, messages: Sequence[Message], suite: str = "", task: str = "") -> str:
        """Render the prompt as it will be sent (for history policies and the store)."""
        ...

    async def count(self, text: str) -> int | None:
        """Count tokens at an endpoint that can tokenize; None when none can."""
        ...

    async def complete(self, call: Call) -> Reply:
        """Answer a call, retrying until its deadline.

        Raises:
            ContextOverflow: the prompt does not fit (counts as the model's failure).
            EndpointError: no endpoint answered before the deadline.
            RequestRejected: a refusal that a retry would not change.
            TokenBoundaryError: a choice cannot be scored at this endpoint.
            UsageError: the endpoint's kind cannot do what the call asks.
        """
        ...

    async def close(self) -> None:
        """Close every connection and, for loopback kinds, the server. Idempotent."""
        ...


CallName = tuple[int, str, str]
"""Number of the call, the role that asks (empty for the model under test) and its key."""


@dataclass(slots=True)
class LiveEpisode:
    """A running episode's oracle and last observation, from which its server answers."""

    oracle: Oracle
    observation: Observation
    answers: dict[CallName, asyncio.Task[str]] = field(default_factory=empty)
    """A repeated request gets the same answer, so that the oracle is asked once for each call."""

    def once(self, name: CallName, answer: Callable[[], Coroutine[Any, Any, str]]) -> asyncio.Task[str]:
        """Start to answer a call, or find the answer that was started.

        The answer is kept when its request is given up, so that a retry finds it.
        """
        task = self.answers.get(name)
        if task is None:
            task = self.answers[name] = asyncio.get_running_loop().create_task(answer())
            task.add_done_callback(_mark_read)
        return task

    def cancel(self) -> None:
        """Cancel the answers that are not ready."""
        for task in self.answers.values():
            task.cancel()


def _mark_read(task: asyncio.Task[str]) -> None:
    """Keep asyncio from reporting the failure of a request that was given up and is no longer awaited."""
    if not task.cancelled():
        task.exception()


class LiveEpisodes:
    """The running episodes' oracles and last observations, by (task, sample, repeat)."""

    def __init__(self) -> None:
        self._live: dict[tuple[str, str, int], LiveEpisode] = {}

    def put(self, task: str, sample: str, repeat: int, oracle: Oracle, observation: Observation) -> None:
        """Store an episode's oracle and last observation; called before each `complete`."""
        live = self._live.get((task, sample, repeat))
        if live is None or live.oracle is not oracle:
            self.drop(task, sample, repeat)
            self._live[task, sample, repeat] = LiveEpisode(oracle, observation)
        else:
            live.observation = observation

    def get(self, task: str, sample: str, repeat: int) -> LiveEpisode | None:
        """Find a live episode."""
        return self._live.get((task, sample, repeat))

    def drop(self, task: str, sample: str, repeat: int) -> None:
        """Remove an episode that ended and cancel its answers; an unknown one is no error."""
        if (live := self._live.pop((task, sample, repeat), None)) is not None:
            live.cancel()


Reasoning = Literal["strip", "keep"]


@dataclass(frozen=True, slots=True)
class Options:
    """Rarely needed settings of a model.

    Attributes:
        stream: use the streaming path, which cuts at stop strings early.
        sanitize: put a space into control tokens in what the environment wrote.
        choice_method: G, P, T, O or F (docs/protocols.md) instead of the best that the endpoint has.
        template: another template than the entry's.
        time_scale: seconds of the pool that pass in one real one; tests only.
        read_s: seconds without a byte after which an attempt failed; None goes by the tokens asked for.
        seed: of the backoff's jitter.
        reasoning: `strip` takes the thought before an answer out of the reply; `keep` leaves it there.
        token: bearer token; empty takes the environment variable the entry names.
        offline: do not ask the endpoints what they serve; for requests that are not sent.
    """

    stream: bool = False
    sanitize: bool = False
    choice_method: str = ""
    template: str = ""
    time_scale: float = 1.0
    read_s: float | None = None
    seed: int = 0
    reasoning: Reasoning = "strip"
    token: str = field(default="", repr=False)
    offline: bool = False
