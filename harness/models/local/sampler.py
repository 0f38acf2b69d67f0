"""One request's way from the logits of its next token to the token: grammar, penalties, temperature, cuts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.models.local.grammar import Grammar, Term, complete
from harness.models.local.invalid import Invalid
from harness.models.local.request import Parameters

_COLDEST = 1e-5
"""A smaller temperature draws the likeliest token all the same, and its quotients overflow."""


class Sampler:
    """Chooses the tokens of one request, with a generator of its own.

    Args:
        torch: the module.
        sent: the request's parameters.
        seed: of the generator.
        grammar: what the answer has to match; None takes any.
        ends: ids of the end of a text.
    """

    def __init__(
        self, torch: Any, sent: Parameters, *, seed: int, grammar: Grammar | None, ends: Sequence[int]
    ) -> None:
        self._torch = torch
        self._sent = sent
        self._ends = list(ends)
        self._grammar = grammar
        self._state: Term = grammar.start if grammar else ()
        self._generator: Any = torch.Generator().manual_seed(seed) if sent.sampling else None
        penalized = sent.repetition_penalty not in (None, 1.0) or bool(sent.frequency_penalty)
        self._penalized = penalized
        self.greedy = not (sent.sampling or grammar or penalized)
        """Whether the likeliest token is taken as the model gives it."""

    def scores(self, logits: Any, ids: Sequence[int], *, last: bool) -> Any:
        """Logits (vocabulary) after everything that the request asks for; -inf where a token is excluded.

        Args:
            logits: of the next token.
            ids: the prompt's and the answer's tokens so far.
            last: no further token may follow this one.

        Raises:
            Invalid: the grammar cannot go on.
        """
        if self._penalized:
            logits = self._less_repetition(logits, ids)
        if self._grammar is not None:
            logits = self._within_grammar(logits, self._grammar, last=last)
        if not self._sent.sampling:
            return logits
        logits = logits / max(self._sent.temperature or 1.0, _COLDEST)
        if self._sent.top_k:
            kept = logits.topk(min(self._sent.top_k, logits.shape[-1])).values[-1]
            logits = self._without(logits, logits < kept)
        if self._sent.top_p is not None:
            logits = self._nucleus(logits, self._sent.top_p)
        if self._sent.typical_p is not None:
            logits = self._typical(logits, self._sent.typical_p)
        return logits

    def pick(self, logprobs: Any) -> int:
        """Draw a token, or take the likeliest one when the request does not sample."""
        if self._generator is None:
            return int(logprobs.argmax())
        # On the CPU, so that one seed gives one text on every device: argmax(p / Exp(1)) has distribution p.
        chances = logprobs.cpu().exp()
        waits = self._torch.empty_like(chances).exponential_(generator=self._generator)
        waits.clamp_(min=self._torch.finfo(waits.dtype).tiny)
        return int((chances / waits).argmax())

    def took(self, token: int) -> None:
        """Go on in the grammar after a token."""
        if self._grammar is not None and token not in self._ends:
            self._state = self._grammar.allowed(self._state).get(token, ("cat", ()))

    def _within_grammar(self, logits: Any, grammar: Grammar, *, last: bool) -> Any:
        after = grammar.allowed(self._state)
        allowed = [token for token in after if token < logits.shape[-1]]
        if last:  # no token is left for the rest of the match
            allowed = [token for token in allowed if complete(after[token])] or allowed
        if complete(self._state) or not allowed:
            allowed += self._ends
        if not allowed:
            raise Invalid("the grammar allows no further token, and the model has none that ends a text")
        masked = self._torch.full_like(logits, float("-inf"))
        masked[allowed] = logits[allowed]
        return masked

    def _less_repetition(self, logits: Any, ids: Sequence[int]) -> Any:
        seen = self._torch.tensor(ids, device=logits.device)
        if penalty := self._sent.repetition_penalty:
            old = logits[seen]
            less = self._torch.where(old < 0, old * penalty, old / penalty)
            logits = logits.scatter(0, seen, less)
        if penalty := self._sent.frequency_penalty:
            counts = self._torch.bincount(seen, minlength=logits.shape[-1])
            logits = logits - penalty * counts / len(ids)
        return logits

    def _nucleus(self, logits: Any, mass: float) -> Any:
        ordered, order = logits.sort(descending=True)
        chances = ordered.softmax(-1)
        beyond = chances.cumsum(-1) - chances >= mass  # the first token is never beyond
        return self._without(logits, self._torch.zeros_like(beyond).scatter(0, order, beyond))

    def _typical(self, logits: Any, mass: float) -> Any:
        """Keep the tokens whose surprise is nearest to the entropy, up to a mass (Meister et al., 2022)."""
        logprobs = logits.log_softmax(-1)
        entropy = -(logprobs.exp() * logprobs).nansum()
        order = (-logprobs - entropy).abs().argsort()
        chances = logprobs.exp()[order]
        beyond = chances.cumsum(-1) - chances >= mass
        return self._without(logits, self._torch.zeros_like(beyond).scatter(0, order, beyond))

    def _without(self, logits: Any, excluded: Any) -> Any:
        return logits.masked_fill(excluded, float("-inf"))
