"""The messages, replies, scores and verdicts that pass between an episode, a model and a judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from harness.types.empty import empty

Role = Literal["system", "user", "assistant", "function"]
Pin = Literal["", "shot", "task"]
Outcome = Literal["scored", "limit", "model_error", "infra_error"]

ASKS: tuple[Role, ...] = ("user", "function")
"""Roles whose message the assistant answers."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        pin: what history policies may not cut: `shot` for an exemplar, `task` for the task text.
    """

    role: Role
    content: str
    pin: Pin = ""


class Notice(NamedTuple):
    """What AgentBench's client says about turns it left out: the text before their number and after it."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Ask:
    """How the next reply is to be generated.

    Attributes:
        max_new_tokens: upper bound on generated tokens, at least 1.
        stop: strings that end the reply; the client cuts them off whatever the server does.
        temperature: None asks for greedy decoding (the parameter is then not sent at all).
        top_p: None leaves nucleus sampling off.
        choices: rank these strings by log-likelihood instead of generating text.
        prefix: start of the assistant's turn, after the template; chat-only endpoints refuse it.
        truncate: tokens the server may keep of the prompt (its left side is lost); sent only under
            the `paper` profile, where upstream sent it.
    """

    max_new_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    choices: tuple[str, ...] = ()
    prefix: str = ""
    truncate: int | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """What the environment shows after the last answer.

    Attributes:
        messages: what is new since the last answer.
        ask: how to answer; may be None only when `done`.
        done: the episode ended; also possible straight from `reset`.
        fresh: forget the conversation, `messages` start a new context.
        said: what the history keeps of the last answer instead of its text; None keeps it as received.
        raw: a raw completion prompt instead of a conversation; a chat-only endpoint gets it as one
            user message and the report says so.
        info: logged, never shown to the model.
    """

    messages: tuple[Message, ...] = ()
    ask: Ask | None = None
    done: bool = False
    fresh: bool = False
    said: str | None = None
    raw: str | None = None
    info: Mapping[str, Any] = field(default_factory=empty)


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer to one `Ask`.

    Attributes:
        text: the generated text, stop strings already cut off.
        choice: index into `Ask.choices`, or None when text was generated.
        logprobs: log-likelihood of each choice, in the order of `Ask.choices`.
        method: how a choice was made (G, P, T, F or O of specs/general.md §1.4).
        notes: remarks that a reader of the score needs, such as `raw->user` or `imputed`.
        thought: what the model thought before its answer; stored, but not shown to the episode or to roles.
        unfinished: the budget of tokens ran out before there was any answer; the loop ends the episode.
    """

    text: str
    choice: int | None = None
    logprobs: tuple[float, ...] | None = None
    finish_reason: str = ""
    prompt_tokens: int = 0
    output_tokens: int = 0
    method: str = ""
    seed: int | None = None
    endpoint: str = ""
    attempts: int = 1
    latency_s: float = 0.0
    queue_s: float = 0.0
    notes: tuple[str, ...] = ()
    thought: str = ""
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class Score:
    """What an episode is worth.

    Attributes:
        value: in [0, 1]; MT-Bench is on its own scale of 1 to 10.
        metrics: further numbers; `paper` and `fixed` where one transcript gives both.
        outcome: None lets the loop decide (`scored`, or `limit` when it stopped the episode);
            `model_error` says that a reply could not be used, `limit` that the task's own limit hit.
        answer: what was read out of the replies, for readers of the run; kept up to 2,000 characters.
        target: the right answer, likewise.
    """

    value: float
    metrics: Mapping[str, float] = field(default_factory=empty)
    note: str = ""
    outcome: Literal["scored", "limit", "model_error"] | None = None
    answer: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True)
class JudgeAsk:
    """One question to a judge: `key` is unique in its episode and names the verdict.

    `info` is for the task; `once` in it keeps an unreadable verdict from being asked for again at once.

    Attributes:
        role: who is asked: `judge`, or `embedder`. An embedder is given the text of each message, and its
            verdict is the JSON object `{"embedder": NAME, "length": N, "cosines": [[...], ...]}` with the
            cosine of every two of these texts, in their order; N is the length of the vectors.
    """

    key: str
    messages: tuple[Message, ...]
    ask: Ask
    info: Mapping[str, Any] = field(default_factory=empty)
    role: str = "judge"


@dataclass(frozen=True, slots=True)
class Pending:
    """An episode that is complete but whose number waits for a judge.

    Attributes:
        items: the questions to the judge.
        partial: what is known without the judge (a verdict on a live page that will be gone by then).
        metrics: numbers that are final already; the task's `aggregate` gets them, with NaN for the value, as
            long as the episode waits.
    """

    items: tuple[JudgeAsk, ...]
    note: str = ""
    outcome: Literal["scored", "limit", "model_error"] | None = None
    partial: Score | None = None
    metrics: Mapping[str, float] = field(default_factory=empty)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's raw answer to the `JudgeAsk` of the same key; `k` numbers repeated judgings from 0."""

    key: str
    k: int
    text: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One item of a benchmark.

    Attributes:
        id: stable and unique within the task (DESIGN §1).
        data: whatever the task's episode and oracle need; never shown to the model as such.
        labels: what aggregators group by (kind, level, subject); stored with every attempt.
        cluster: samples of one cluster are not independent (one page, one table): the interval resamples
            clusters; empty makes the sample a cluster of its own.
        locks: names an attempt at this sample holds exclusively. `site:URL` also holds across processes.
        shares: names it holds together with others that share them.
        turns: expected turns, so that long episodes start first; None takes the task's.
    """

    id: str
    data: Mapping[str, Any] = field(default_factory=empty)
    labels: Mapping[str, str] = field(default_factory=empty)
    cluster: str = ""
    locks: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()
    turns: int | None = None


class Chat(Protocol):
    """An auxiliary model (judge, tool model, embedder): logged and replayed by key, never by order."""

    async def ask(self, key: str, messages: tuple[Message, ...] | str, ask: Ask) -> Reply:
        """Answer a conversation, or a raw prompt when `messages` is a string.

        Args:
            key: unique within the episode; a replayed run finds the answer under it.
            messages: the conversation, or a raw completion prompt.
            ask: how to answer.

        Raises:
            InfraError: the role's endpoint failed for good.
        """
        ...

    async def embed(self, key: str, texts: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
        """Turn texts into vectors of one length, in the order of the texts.

        Args:
            key: unique within the episode, as for `ask`.
            texts: what to embed; an empty tuple gives an empty one without a request.

        Raises:
            InfraError: the role failed, or its vectors are not one per text, finite and of one length.
        """
        ...


@dataclass(frozen=True, slots=True)
class CallKey:
    """Names one request to the model under test; travels in the `X-Harness-*` headers."""

    task: str
    sample: str
    repeat: int
    call: int

    @property
    def episode(self) -> str:
        """Name the episode; its requests go to one endpoint."""
        return f"{self.task}/{self.sample}/{self.repeat}"


@dataclass(frozen=True, slots=True)
class Row:
    """A finished episode as `aggregate` and the report see it (infra errors are not among them).

    Attributes:
        labels: the sample's, as stored with the attempt.
        cluster: the sample's, empty when it is a cluster of its own.
    """

    sample: str
    repeat: int
    outcome: Outcome
    value: float
    metrics: Mapping[str, float] = field(default_factory=empty)
    labels: Mapping[str, str] = field(default_factory=empty)
    cluster: str = ""
