"""What the clients of all protocols share: prompts, cutting at stop strings, replies with their notes."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Self

from harness.catalog.models import Entry
from harness.models import outside
from harness.models.api import Call, Options
from harness.models.clients.answer import SYSTEM, Answer, cut
from harness.models.clients.choices import Ranker
from harness.models.clients.exchange import Check, Prompt
from harness.models.clients.reasoning import CLOSE, OPEN, THOUGHT, Parts, StopWatch, after, opens, parts
from harness.models.clients.transport import Transport
from harness.models.pool.endpoint import Endpoint
from harness.models.pool.pool import Pool
from harness.templates import Template, sanitize
from harness.types import Message, Reply

log = logging.getLogger(__name__)

Confirm = Callable[[Endpoint], Awaitable[None]]
"""Returns when an endpoint still serves the model that it served (`harness.models.clients.confirm`)."""


class BaseModel:
    """A model behind a pool of endpoints; subclasses speak one protocol."""

    methods: tuple[str, ...] = ()
    """Ways to rank choices, best first (specs/general.md §1.4)."""

    most: int = 0
    """Alternatives to a token that can be had when the usual number lacks a choice; 0 when no more."""

    notes: tuple[str, ...] = ()

    def __init__(
        self,
        entry: Entry,
        pool: Pool,
        transport: Transport,
        *,
        templates: Mapping[str, Template],
        info: Mapping[str, Any],
        options: Options,
    ) -> None:
        self.name = entry.name
        self.pool = pool
        self.entry = entry
        self.transport = transport
        self.options = options
        self._templates = templates
        self._info = info
        self._ranker = Ranker(self, forced=options.choice_method)
        self.confirm: Confirm | None = None
        self._quiet = False
        """Whether a task's stop string ended a thought of this model: they are then cut at here only."""

    @property
    def info(self) -> Mapping[str, Any]:
        """What the manifest records."""
        return self._info

    @property
    def templates(self) -> Mapping[str, Template]:
        """Its chat templates by suite or task, the default one under the empty name."""
        return self._templates

    def render(self, messages: Sequence[Message], suite: str = "", task: str = "") -> str:
        """Render the prompt as it will be sent."""
        if self.options.sanitize or self.entry.sanitize:
            messages = [
                replace(m, content=sanitize(m.content)) if m.role == "user" and m.pin != "shot" else m
                for m in messages
            ]
        template = self._templates.get(task) or self._templates.get(suite) or self._templates[""]
        return template.render(messages)

    async def count(self, text: str) -> int | None:
        """Count tokens at an endpoint; None when it cannot tokenize."""
        del text
        return None

    async def complete(self, call: Call) -> Reply:
        """Answer a call, retrying until its deadline."""
        started = time.monotonic()
        prompt = self.prompt(call)
        if call.ask.choices:
            reply = await self._ranker.choose(call, prompt)
            notes = (*self._notes(call), *reply.notes)
            return replace(reply, latency_s=time.monotonic() - started, notes=notes)
        reply = self._read(call, prompt, await self.generate(call, prompt, {}), started)
        if self._stopped_in_thought(call, prompt, reply):
            self._quiet = True
            prompt = replace(prompt, quiet=True)
            reply = self._read(call, prompt, await self.generate(call, prompt, {}), started)
        return reply

    def _read(self, call: Call, prompt: Prompt, answer: Answer, started: float) -> Reply:
        """Take the thought out of an answer, or leave it in, and cut at the stop strings."""
        found = self._parts(prompt, answer)
        text, stopped = cut(found.answer, self._stops(call))
        finish = "stop_sequence" if stopped else answer.finish_reason
        thinks = bool(found.thought) or not found.ended
        notes = (*self._notes(call), *answer.notes, *((THOUGHT,) if thinks else ()))
        return self.reply(
            answer,
            text,
            finish_reason=finish,
            notes=notes,
            thought=found.thought,
            unfinished=thinks and not text.strip() and finish == "length",
            latency_s=time.monotonic() - started,
        )

    def _parts(self, prompt: Prompt, answer: Answer) -> Parts:
        if self.options.reasoning == "strip":
            return after(answer.thought, parts(answer.text, opened=prompt.opened))
        thought = f"{OPEN}\n{answer.thought}\n{CLOSE}\n\n" if answer.thought else ""
        return Parts("", thought + answer.text)

    def _stopped_in_thought(self, call: Call, prompt: Prompt, reply: Reply) -> bool:
        """Whether the server may have ended a thought at a stop string that the task means for the answer."""
        empty = THOUGHT in reply.notes and not reply.text.strip() and reply.finish_reason != "length"
        return empty and bool(call.ask.stop) and not prompt.quiet

    def _stops(self, call: Call) -> tuple[str, ...]:
        return (*call.ask.stop, *self.entry.stop)

    def watch(self, call: Call, prompt: Prompt) -> StopWatch:
        """What a stream is watched with, so that it can be left at a stop string."""
        thoughts = self.options.reasoning == "strip"
        return StopWatch(self._stops(call), opened=prompt.opened, thoughts=thoughts)

    def prompt(self, call: Call) -> Prompt:
        """Write the prompt of a call, with the start of the assistant's turn."""
        text, opened = call.raw, False
        if text is None:
            text = call.prompt or self.render(call.messages, call.suite, call.key.task)
            opened = opens(text)
        quiet = self.options.reasoning == "strip" and (opened or self._quiet)
        return Prompt(outside.paired(text + call.ask.prefix), call.messages, opened, quiet)

    def reply(self, answer: Answer, text: str, **more: Any) -> Reply:
        """Build a reply from an answer; `more` sets further fields."""
        facts: dict[str, Any] = {
            "finish_reason": answer.finish_reason,
            "prompt_tokens": answer.prompt_tokens,
            "output_tokens": answer.output_tokens,
            "seed": answer.seed,
            "endpoint": answer.endpoint,
            "attempts": answer.attempts,
            "queue_s": answer.queue_s or 0.0,
        }
        if answer.system:
            more["notes"] = (*more.get("notes", ()), SYSTEM + answer.system)
        return Reply(text, **(facts | more))

    async def generate(
        self, call: Call, prompt: Prompt, extra: Mapping[str, Any], check: Check | None = None
    ) -> Answer:
        """Send one prompt with the call's parameters, and `extra` ones over them.

        `check` refuses answers that cannot be used.
        """
        raise NotImplementedError

    @asynccontextmanager
    async def at(self, endpoints: Sequence[Endpoint]) -> AsyncGenerator[Self, None]:
        """This model behind some of its endpoints alone."""
        part = copy.copy(self)
        part.pool = self.pool.part(endpoints)
        try:
            yield part
        finally:
            await part.pool.close()

    async def _run(
        self, call: Call, attempt: Callable[[Endpoint], Awaitable[Answer]], seed: int | None
    ) -> Answer:
        """Attempt at the endpoints until one answers; `seed` is the one sent, for servers that do not say."""
        answer, endpoint, tries = await self.pool.run(
            call.key.episode, attempt, deadline_s=call.deadline_s, turns_left=call.turns_left
        )
        if self.confirm is not None:
            await self.confirm(endpoint)
        answer.endpoint, answer.attempts = endpoint.url, tries
        if answer.seed is None:
            answer.seed = seed
        return answer

    def _notes(self, call: Call) -> tuple[str, ...]:
        del call
        return self.notes

    async def close(self) -> None:
        """Close every connection."""
        log.debug("%s: %s", self.name, self.pool.stats())
        await self.pool.close()
        await self.transport.close()
