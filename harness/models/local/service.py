"""One local model's requests: checked, queued in the engine, and their events handed to whoever waits."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from harness.models import outside
from harness.models.local.delivery import Delivery
from harness.models.local.engine import Engine
from harness.models.local.grammar import Grammar
from harness.models.local.loading import Loaded, Settings
from harness.models.local.memory import Budget, free_bytes
from harness.models.local.request import GenerateRequest, Prompt, check, fitted, too_long
from harness.models.local.sampler import Sampler
from harness.models.local.sequence import Done, Event, Failed, Sequence, Token

T = TypeVar("T")
_LONG = 1 << 16
"""Characters from which a prompt's least number of tokens is estimated before it is tokenized."""
_GRAMMARS = 64


class Overloaded(Exception):
    """As many requests as are taken are being answered; sent as 429."""


class Stopping(Exception):
    """The server ends; sent as 503."""


class GenerationFailed(Exception):
    """The model could not answer; sent as 424."""


@dataclass(frozen=True, slots=True)
class Started:
    """A request that was accepted.

    Attributes:
        seed: of the draws; None when the answer is greedy.
        received: when it came, in seconds of the monotonic clock.
    """

    request: GenerateRequest
    prompt: Prompt
    seed: int | None
    received: float
    sequence: Sequence
    events: asyncio.Queue[Event]


class Service:
    """A loaded model that answers requests, within the event loop that runs when it is made.

    Args:
        loaded: the model.
        settings: how it is run.
    """

    def __init__(self, loaded: Loaded, settings: Settings) -> None:
        self.loaded, self.settings = loaded, settings
        tokens = free_bytes(loaded.torch, loaded.device) // loaded.token_bytes
        self.engine = Engine(loaded, Budget(tokens, settings.batch))
        self.context = loaded.context
        self.outcomes = Counter[str]()
        self.busy = 0
        self.draining = False
        self._tokenizing = ThreadPoolExecutor(1, thread_name_prefix="tokenizer")
        self._delivery = Delivery()
        self._idle = asyncio.Event()
        self._idle.set()
        self._grammar = lru_cache(_GRAMMARS)(self._compiled)

    @contextmanager
    def slot(self) -> Generator[None]:
        """Count a request; refused at once when `concurrent` are being answered.

        Raises:
            Overloaded, Stopping: as they say.
        """
        if self.draining:
            raise Stopping
        if self.busy >= self.settings.concurrent:
            raise Overloaded
        self.busy += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.busy -= 1
            if not self.busy:
                self._idle.set()

    async def drained(self) -> None:
        """Take no more requests and wait for those that run."""
        self.draining = True
        await self._idle.wait()

    async def close(self) -> None:
        """Fail what runs and end the threads."""
        self.draining = True
        await asyncio.to_thread(self.engine.close)
        await asyncio.to_thread(self._tokenizing.shutdown, cancel_futures=True)

    async def tokens(self, text: str) -> list[dict[str, Any]]:
        """Tokens of a prompt as `/tokenize` lists them."""
        return await self._apart(self.loaded.vocabulary.rows, outside.paired(text))

    async def start(self, request: GenerateRequest, *, stream: bool) -> Started:
        """Check a request and put it into the engine.

        Raises:
            Invalid: TGI would refuse it too, or it asks for what this server does not have.
        """
        received, sent = time.monotonic(), request.parameters
        check(request, stream=stream)
        grammar = None
        if sent.grammar is not None:
            grammar = await self._apart(self._grammar, str(sent.grammar.value))
        prompt = fitted(await self._encode(request), sent, self.context)
        seed = None
        if sent.sampling:
            seed = secrets.randbits(63) if sent.seed is None else sent.seed
        events = asyncio.Queue[Event]()

        def tell(event: Event) -> None:
            if stream or not isinstance(event, Token):
                self._delivery.send(events, event)

        ends, torch = self.loaded.ends, self.loaded.torch
        sampler = Sampler(torch, sent, seed=seed or 0, grammar=grammar, ends=ends)
        sequence = Sequence(prompt, sent, sampler, self.loaded.vocabulary, ends, tell)
        self.engine.submit(sequence)
        return Started(request, prompt, seed, received, sequence, events)

    async def events(self, started: Started, *, beat_s: float) -> AsyncGenerator[Token | Done | None, None]:
        """The events of a request up to its `Done`; None whenever `beat_s` seconds brought nothing.

        A caller that stops iterating cancels the request: it leaves the batch before the next step.

        Raises:
            GenerationFailed: the model could not answer.
        """
        try:
            while True:
                try:
                    event = await asyncio.wait_for(started.events.get(), beat_s)
                except TimeoutError:
                    yield None
                    continue
                if isinstance(event, Failed):
                    raise GenerationFailed(event.text)
                yield event
                if isinstance(event, Done):
                    return
        finally:
            started.sequence.cancelled = True

    async def answer(self, started: Started) -> Done:
        """The whole answer of a request.

        Raises:
            GenerationFailed: the model could not answer.
        """
        async for event in self.events(started, beat_s=60.0):
            if isinstance(event, Done):
                return event
        raise GenerationFailed("the answer has no end")

    async def _encode(self, request: GenerateRequest) -> list[int]:
        text, vocabulary = outside.paired(request.inputs), self.loaded.vocabulary
        if len(text) > _LONG and request.parameters.truncate is None:
            least = await self._apart(vocabulary.least_tokens, text)
            if least >= self.context:
                raise too_long(self.context, least)
        return await self._apart(vocabulary.encode, text)

    def _compiled(self, pattern: str) -> Grammar:
        return Grammar(pattern, self.loaded.vocabulary.pieces)

    async def _apart(self, function: Callable[[str], T], text: str) -> T:
        """Call in the tokenizer's thread, as a long text takes a while."""
        return await asyncio.get_running_loop().run_in_executor(self._tokenizing, function, text)
