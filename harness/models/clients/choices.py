"""Ranks the strings of `Ask.choices` by log-likelihood, by the best method an endpoint has.

G masks the vocabulary to the choices, P reads each choice's own log-probability from the prefill,
T looks for the choices among the likeliest tokens, O does so over the OpenAI protocol, F generates
and reads the first choice in the text (never chosen by itself: it measures something else). A choice that a
server leaves out is asked for in another way before a floor stands for it, and an answer that names none of
the choices is no answer: nothing is ever ranked by floors alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.errors import RequestRejected, TokenBoundaryError, UsageError
from harness.models import outside
from harness.models.api import Call
from harness.models.clients.alternatives import (
    FLOOR,
    first_choice,
    grammar,
    halves,
    has_values,
    is_spaced,
    join_halves,
    logprob,
    logsumexp,
    mass,
    read_alternatives,
    unlisted,
)
from harness.models.clients.answer import Answer
from harness.models.clients.exchange import Check, Generator, Prompt
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

_TOP_N = 5
"""Alternatives to a token that TGI lists at most."""

_EXACT, _CLOSE = 1e-5, 1e-2
"""What of a log-probability may be missing where the rest is exact, and where it takes a far longer list."""

_UNSEEN = 1e-4
"""Probability that may be missing from the listed tokens before a server is asked for the rest."""

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
        if self._forced not in ("", "F", *self._model.methods):
            able = ", ".join((*self._model.methods, "F"))
            raise UsageError(
                f"{self._model.name} cannot rank choices by {_NAMES[self._forced]}: --choices {able}"
            )
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
        choices = call.ask.choices
        wanted = {"top_logprobs": 1} if method == "O" else {"top_n_tokens": _TOP_N}
        extra: dict[str, Any] = {**_GREEDY, **wanted}
        if method == "G":
            extra["grammar"] = grammar(choices)
        allowed = {"", *(choice.strip() for choice in choices)}

        def check(answer: Answer, url: str) -> None:
            if method == "G" and answer.text.strip() not in allowed:
                raise self._unusable(f"{url} ignores grammars")
            if not has_values(answer.top_tokens):
                raise self._unusable(f"{url} sent no alternatives to the first token")

        answer = await self._model.generate(call, prompt, extra, check)
        if method == "G" and _is_cut(answer, choices):
            answer = await self._split(call, prompt, extra, answer, check)
        if method == "O":
            scores = await self._completed(call, prompt, extra, answer)
        else:
            scores = read_alternatives(answer.top_tokens, choices) or [None for _ in choices]
        if all(score is None for score in scores):
            raise RequestRejected(_unnamed(answer, choices))
        return self._ranked(answer, choices, scores, method)

    async def _split(
        self, call: Call, prompt: Prompt, extra: Mapping[str, Any], answer: Answer, check: Check
    ) -> Answer:
        """Ask without and with the leading space: a grammar for both allows more tokens than TGI lists."""
        asked = [
            self._model.generate(call, prompt, {**extra, "grammar": half}, check)
            for half in halves(call.ask.choices)
        ]
        parts = await _all(asked)
        answer.top_tokens = join_halves(answer.top_tokens, [part.top_tokens for part in parts])
        return answer

    async def _completed(
        self, call: Call, prompt: Prompt, extra: Mapping[str, Any], answer: Answer
    ) -> Sequence[float | None]:
        """Add what the likeliest tokens lack: by the prompt's own log-probabilities, or among more tokens."""
        choices, exact = call.ask.choices, "P" in self._model.methods
        scores = read_alternatives(answer.top_tokens, choices) or [None for _ in choices]
        lacking = unlisted(answer.top_tokens, choices, _EXACT if exact else _CLOSE)
        if exact and any(lacking):
            texts = [text for group in lacking for text in group]
            found = await self._appended(call, prompt, texts)
            values = dict(zip(texts, found.scores, strict=True))
            return [
                _sum([score, *(values[text] for text in group)])
                for score, group in zip(scores, lacking, strict=True)
            ]
        if self._model.most and any(lacking):
            more = await self._model.generate(call, prompt, {**extra, "top_logprobs": self._model.most})
            return read_alternatives(more.top_tokens, choices) or scores
        return scores

    def _unusable(self, message: str) -> Exception:
        """The method does not work here; once it is known to work, the endpoint failed."""
        return Fault("useless", message) if self._settled else RequestRejected(message)

    async def _appended(self, call: Call, prompt: Prompt, texts: Sequence[str]) -> _Appended:
        """The log-probability of each text after the prompt; None for one that is not one more token."""
        extra = {**_GREEDY, "decoder_input_details": True}

        def check(answer: Answer, url: str) -> None:
            if not answer.prefill:
                raise self._unusable(f"{url} sends no prefill (--enable-prefill-logprobs is off)")
            if any(token.id is None for token in answer.prefill):
                raise self._unusable(f"{url} sends prefill without token ids")
            if len(answer.prefill) > 1 and logprob(answer.prefill[-1]) is None:  # the first one never has any
                raise self._unusable(f"{url} sends prefill without log-probabilities")

        whole = [prompt.text, *(prompt.text + text for text in texts)]
        asked = [self._model.generate(call, replace(prompt, text=text), extra, check) for text in whole]
        base, *answers = await _all(asked)
        before = [token.id for token in base.prefill]
        scores = [
            logprob(answer.prefill[-1]) if [token.id for token in answer.prefill[:-1]] == before else None
            for answer in answers
        ]
        spent = sum(answer.prompt_tokens for answer in (base, *answers))
        return _Appended(base, scores, [len(one.prefill) for one in answers], spent)

    async def _prefill(self, call: Call, prompt: Prompt) -> Reply:
        choices = call.ask.choices
        found = await self._appended(call, prompt, choices)
        for choice, score, length in zip(choices, found.scores, found.lengths, strict=True):
            if score is None:
                raise TokenBoundaryError(
                    f"{choice!r} is not one more token after this prompt ({len(found.base.prefill)}, then"
                    f" {length}); one that ends in a space merges with it: use an endpoint with grammars"
                    " (TGI >= 1.4.1) or --profile fixed"
                )
        reply = self._ranked(found.base, choices, found.scores, "P")
        return replace(reply, prompt_tokens=found.spent, output_tokens=1 + len(choices))

    async def _generated(self, call: Call, prompt: Prompt) -> Reply:
        answer = await self._model.generate(call, prompt, {**_GREEDY, "max_new_tokens": 5})
        found = first_choice(answer.text, call.ask.choices)
        if found is None:
            return self._model.reply(answer, answer.text, method="F", notes=("no choice in text",))
        return self._model.reply(answer, call.ask.choices[found], choice=found, method="F")

    def _ranked(
        self, answer: Answer, choices: Sequence[str], found: Sequence[float | None], method: str
    ) -> Reply:
        scores = [FLOOR if score is None else score for score in found]
        best = max(range(len(scores)), key=scores.__getitem__)  # ties go to the first
        missing = sum(score is None for score in found)
        notes = (f"imputed:{missing}",) if missing else ()
        return self._model.reply(
            answer, choices[best], choice=best, logprobs=tuple(scores), method=method, notes=notes
        )


@dataclass(frozen=True, slots=True)
class _Appended:
    """What was found of texts after a prompt: its own answer, their values and lengths, tokens spent."""

    base: Answer
    scores: Sequence[float | None]
    lengths: Sequence[int]
    spent: int


def _is_cut(answer: Answer, choices: Sequence[str]) -> bool:
    """Whether a server listed fewer tokens than the grammar allows, so that a choice may be missing."""
    if is_spaced(choices) or len(answer.top_tokens) < _TOP_N:
        return False
    scores = read_alternatives(answer.top_tokens, choices)
    return scores is None or None in scores or mass(answer.top_tokens) < 1.0 - _UNSEEN


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return logsumexp(known) if known else None


def _unnamed(answer: Answer, choices: Sequence[str]) -> str:
    shown = ", ".join(repr(token.text) for token in answer.top_tokens[:5])
    told = outside.line(f"{len(answer.top_tokens)} alternatives ({shown})", 200)
    return f"{answer.endpoint} names none of {', '.join(map(repr, choices))} among its {told}"


async def _all(asked: Iterable[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    """Await concurrently; the first failure cancels the others and is raised as it is, not in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in asked]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
