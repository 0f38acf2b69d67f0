"""Ranks the strings of `Ask.choices` by log-likelihood, by the best method an endpoint has.

G masks the vocabulary to the choices, P reads each choice's own log-probability from the prefill,
T looks for the choices among the likeliest tokens, O does so over the OpenAI protocol, F generates
and reads the first choice in the text (never chosen by itself: it measures something else).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.errors import RequestRejected, TokenBoundaryError, UsageError
from harness.models.api import Call
from harness.models.clients.alternatives import FLOOR, first_choice, grammar, logprob, read_alternatives
from harness.models.clients.answer import Answer
from harness.models.clients.exchange import Generator, Prompt
from harness.models.pool.faults import Fault, Refused
from harness.types import Reply

log = logging.getLogger(__name__)
_NAMES: Mapping[str, str] = {
    "G": "a grammar",
    "P": "the prompt's log-probabilities",
    "T": "the likeliest tokens",
    "O": "OpenAI's log-probabilities",
    "F": "generated text",
}

_GREEDY: Mapping[str, Any] = {
    "do_sample": False,
    "temperature": None,
    "top_p": None,
    "seed": None,
    "stop": None,
    "details": True,
    "max_new_tokens": 1,
}


class Ranker:
    """Chooses the method once per model, by the endpoints' capabilities and the first answers."""

    def __init__(self, model: Generator, *, forced: str = "") -> None:
        if forced and forced not in ("G", "P", "T", "O", "F"):
            raise UsageError(f"unknown choice method {forced!r}; G, P, T, O or F")
        self._model = model
        self._forced = forced
        self._methods: list[str] | None = None
        self._settled = False
        self._lock = asyncio.Lock()

    async def choose(self, call: Call, prompt: Prompt) -> Reply:
        """Rank the choices.

        Raises:
            TokenBoundaryError: the only method left cannot score a choice after this prompt.
            RequestRejected: the endpoint has no way to rank choices.
        """
        if self._settled:
            return await self._first(call, prompt)
        async with self._lock:  # the first call finds out which method works
            if not self._settled:
                reply = await self._first(call, prompt)
                self._settled = True
                return reply
        return await self._first(call, prompt)  # those that waited go on concurrently

    async def _first(self, call: Call, prompt: Prompt) -> Reply:
        if self._methods is None:
            self._methods = [self._forced] if self._forced else self._able()
        while self._methods:
            method = self._methods[0]
            try:
                return await self._by(method, call, prompt)
            except (RequestRejected, TokenBoundaryError) as error:
                # 400 and 422 refuse the method; other refusals concern this call only.
                other = isinstance(error, Refused) and error.status not in (400, 422)
                if len(self._methods) == 1 or self._settled or other:
                    raise
                log.warning("choices cannot be ranked by %s here: %s", _NAMES[method], error)
                del self._methods[0]
        raise RequestRejected(
            f"{self._model.name}: no way to rank choices at this endpoint; use one that has: "
            "TGI >= 1.4.1 with grammars, or /v1/completions with logprobs"
        )

    def _able(self) -> list[str]:
        known = [e.capabilities for e in self._model.pool.endpoints if e.capabilities is not None]
        return [m for m in self._model.methods if all(m in c.methods for c in known)]

    async def _by(self, method: str, call: Call, prompt: Prompt) -> Reply:
        if method == "P":
            return await self._prefill(call, prompt)
        if method == "F":
            return await self._generated(call, prompt)
        extra = {**_GREEDY, **({"top_logprobs": 20} if method == "O" else {"top_n_tokens": 5})}
        if method == "G":
            extra["grammar"] = grammar(call.ask.choices)
        allowed = {"", *(choice.strip() for choice in call.ask.choices)}

        def check(answer: Answer, url: str) -> None:
            if method == "G" and answer.text.strip() not in allowed:
                raise self._unusable(f"{url} ignores grammars")
            if read_alternatives(answer.top_tokens, call.ask.choices) is None:
                raise self._unusable(f"{url} sent no alternatives to the first token")

        answer = await self._model.generate(call, prompt, extra, check)
        scores = read_alternatives(answer.top_tokens, call.ask.choices)
        assert scores is not None, "check() let an answer without alternatives pass"
        return self._ranked(answer, call.ask.choices, scores, method)

    def _unusable(self, message: str) -> Exception:
        """The method does not work here; once it is known to work, the endpoint failed."""
        return Fault("useless", message) if self._settled else RequestRejected(message)

    async def _prefill(self, call: Call, prompt: Prompt) -> Reply:
        extra = {**_GREEDY, "decoder_input_details": True}

        def check(answer: Answer, url: str) -> None:
            if not answer.prefill:
                raise self._unusable(f"{url} sends no prefill (--enable-prefill-logprobs is off)")
            if any(token.id is None for token in answer.prefill):
                raise self._unusable(f"{url} sends prefill without token ids")
            if len(answer.prefill) > 1 and logprob(answer.prefill[-1]) is None:  # the first one never has any
                raise self._unusable(f"{url} sends prefill without log-probabilities")

        texts = [prompt.text, *(prompt.text + choice for choice in call.ask.choices)]
        asked = [self._model.generate(call, replace(prompt, text=text), extra, check) for text in texts]
        base, *answers = await _all(asked)
        before = [token.id for token in base.prefill]
        scores: list[float] = []
        for choice, answer in zip(call.ask.choices, answers, strict=True):
            after = [token.id for token in answer.prefill]
            score = logprob(answer.prefill[-1])
            if after[:-1] != before or score is None:
                raise TokenBoundaryError(
                    f"{choice!r} is not one more token after this prompt ({len(before)}, then {len(after)});"
                    " one that ends in a space merges with it: use an endpoint with grammars"
                    " (TGI >= 1.4.1) or --profile fixed"
                )
            scores.append(score)
        spent = sum(answer.prompt_tokens for answer in (base, *answers))
        reply = self._ranked(base, call.ask.choices, scores, "P")
        return replace(reply, prompt_tokens=spent, output_tokens=len(texts))

    async def _generated(self, call: Call, prompt: Prompt) -> Reply:
        answer = await self._model.generate(call, prompt, {**_GREEDY, "max_new_tokens": 5})
        found = first_choice(answer.text, call.ask.choices)
        if found is None:
            return self._model.reply(answer, answer.text, method="F", notes=("no choice in text",))
        return self._model.reply(answer, call.ask.choices[found], choice=found, method="F")

    def _ranked(self, answer: Answer, choices: Sequence[str], scores: Sequence[float], method: str) -> Reply:
        best = max(range(len(scores)), key=scores.__getitem__)  # ties go to the first
        missing = sum(score == FLOOR for score in scores)
        notes = (f"imputed:{missing}",) if missing else ()
        return self._model.reply(
            answer, choices[best], choice=best, logprobs=tuple(scores), method=method, notes=notes
        )


async def _all(asked: Iterable[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    """Await concurrently; the first failure cancels the others and is raised as it is, not in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in asked]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
