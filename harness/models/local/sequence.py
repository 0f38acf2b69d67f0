"""One request on its way through a local model: its tokens so far, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from harness.models.local.request import Parameters, Prompt
from harness.models.local.sampler import Sampler
from harness.models.local.vocabulary import Vocabulary, Writing

Finish = Literal["length", "eos_token", "stop_sequence"]
_TAIL = 300
"""Characters of a text in which a stop string is looked for, as in TGI."""


class Token(msgspec.Struct, frozen=True, gc=False):
    """A token with its log-probability, and the likeliest ones at its place when they were asked for.

    No dataclass: one is made for each token written, and a frozen dataclass takes ten times as long.
    """

    id: int
    text: str
    logprob: float | None
    special: bool
    top: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """The end of an answer."""

    text: str
    finish: Finish
    tokens: tuple[Token, ...]
    prefill: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """The end of a request without an answer; `text` is the reason."""

    text: str


Event = Token | Done | Failed


@dataclass(slots=True, eq=False)
class Sequence:
    """A request in the engine.

    Attributes:
        tell: called in the engine's thread with each token but the last, and then with a `Done` that holds
            them all, or a `Failed`.
        cancelled: set from outside; the engine forgets the sequence before its next step.
        number: place in the order in which requests came; set by the engine.
        joined: when it joined the batch, in seconds of the monotonic clock.
        read: how many of the prompt's tokens the cache holds.
        own: log-probabilities of the prompt's tokens, when they were asked for; the first one has none.
    """

    prompt: Prompt
    sent: Parameters
    sampler: Sampler
    vocabulary: Vocabulary
    ends: tuple[int, ...]
    tell: Callable[[Event], None]
    cancelled: bool = False
    number: int = 0
    joined: float = 0.0
    read: int = 0
    written: list[int] = field(default_factory=list[int])
    tokens: list[Token] = field(default_factory=list[Token])
    own: list[float | None] = field(default_factory=lambda: [None])
    _tail: str = ""
    _writing: Any = None

    @property
    def reading(self) -> bool:
        """Whether a part of the prompt has not been computed yet."""
        return self.read < len(self.prompt.ids)

    @property
    def cached(self) -> int:
        """Positions that the cache holds; the newest token is not among them."""
        return self.read + max(0, len(self.written) - 1)

    @property
    def needs(self) -> int:
        """Positions that it may come to take."""
        return len(self.prompt.ids) + self.prompt.room

    @property
    def last(self) -> bool:
        """Whether the next token is the last one that may be written."""
        return len(self.written) + 1 >= self.prompt.room

    def take(self, token: int, logprob: float, top: list[tuple[int, float]]) -> Finish | None:
        """Append a token; gives why the answer ends with it, if it does."""
        if self._writing is None:
            self._writing = Writing(self.vocabulary, self.prompt.ids)
        self.written.append(token)
        self.sampler.took(token)
        text = self._writing.add(token)
        others = tuple([self._named(one, value) for one, value in top]) if top else ()
        told = Token(token, text, logprob, token in self.vocabulary.special, others)
        self.tokens.append(told)
        if self.sent.stop:
            self._tail = (self._tail + text)[-_TAIL:]
        finish = self._finish(token)
        if finish is None:
            self.tell(told)
        return finish

    def _finish(self, token: int) -> Finish | None:
        if token in self.ends:
            return "eos_token"
        if self.sent.stop and any(stop and self._tail.endswith(stop) for stop in self.sent.stop):
            return "stop_sequence"
        return "length" if len(self.written) >= self.prompt.room else None

    def done(self, finish: Finish) -> Done:
        """The whole answer."""
        text = self.vocabulary.text(self.prompt.ids, self.written)
        prefill: tuple[Token, ...] = ()
        if self.sent.decoder_input_details:
            pairs = zip(self.prompt.ids, self.own, strict=True)
            prefill = tuple(self._named(token, value) for token, value in pairs)
        return Done(text, finish, tuple(self.tokens), prefill)

    def _named(self, token: int, logprob: float | None) -> Token:
        return Token(token, self.vocabulary.pieces[token], logprob, token in self.vocabulary.special)
