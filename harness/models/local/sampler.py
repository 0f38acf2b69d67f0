"""From the logits of next tokens to the tokens: grammar, penalties, temperature, cuts, draws."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from harness.models.local.grammar import Grammar, Term, complete
from harness.models.local.invalid import Invalid
from harness.models.local.request import Parameters

_COLDEST = 1e-5
"""A smaller temperature draws the likeliest token all the same, and its quotients overflow."""
_BITS = 48
"""Of a draw: few enough that its product with a sum of chances stays below that sum."""


class Sampler:
    """What one request asks of the choice of its tokens, with a generator of its own.

    Args:
        torch: the module.
        sent: the request's parameters.
        seed: of the generator.
        grammar: what the answer has to match; None takes any.
        ends: ids of the end of a text.

    Attributes:
        constrained: whether `constrain` changes logits.
        cuts: whether `cut` changes them.
        draws: whether tokens are drawn at random; else the likeliest is taken.
        temperature: that logits are divided by between the two.
    """

    def __init__(
        self, torch: Any, sent: Parameters, *, seed: int, grammar: Grammar | None, ends: Sequence[int]
    ) -> None:
        self._torch = torch
        self._sent = sent
        self._ends = list(ends)
        self._grammar = grammar
        self._state: Term = grammar.start if grammar else ()
        self._generator = random.Random(seed)
        self._penalized = sent.repetition_penalty not in (None, 1.0) or bool(sent.frequency_penalty)
        self.constrained = self._penalized or grammar is not None
        self.cuts = bool(sent.top_k) or sent.top_p is not None or sent.typical_p is not None
        self.draws = sent.sampling
        self.temperature = max(sent.temperature or 1.0, _COLDEST) if sent.sampling else 1.0

    def constrain(self, logits: Any, ids: Sequence[int], *, last: bool) -> Any:
        """Logits (vocabulary) after penalties and grammar; -inf where a token is excluded.

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
        return logits

    def cut(self, logits: Any) -> Any:
        """Logits (vocabulary) with -inf for what `top_k`, `top_p` and `typical_p` leave out."""
        if self._sent.top_k:
            kept = logits.topk(min(self._sent.top_k, logits.shape[-1])).values[-1]
            logits = self._without(logits, logits < kept)
        if self._sent.top_p is not None:
            logits = self._nucleus(logits, self._sent.top_p)
        if self._sent.typical_p is not None:
            logits = self._typical(logits, self._sent.typical_p)
        return logits

    def drawn(self) -> float:
        """The next random number, from 0 to below 1."""
        return self._generator.getrandbits(_BITS) / (1 << _BITS)

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


def choose(torch: Any, logits: Any, samplers: Sequence[Sampler]) -> tuple[Any, Any]:
    """The next token of every row, and the log-probabilities it was chosen by.

    Args:
        torch: the module.
        logits: (rows, vocabulary), constrained; written over.
        samplers: of the rows.

    Returns:
        Ids (rows) and log-probabilities (rows, vocabulary).
    """
    if any(one.temperature != 1.0 for one in samplers):
        logits = logits / logits.new_tensor([one.temperature for one in samplers])[:, None]
    for row, one in enumerate(samplers):
        if one.cuts:
            logits[row] = one.cut(logits[row])
    logprobs = logits.log_softmax(-1)
    drawing = [row for row, one in enumerate(samplers) if one.draws]
    if len(drawing) == len(samplers):
        return _drawn(torch, logprobs, samplers), logprobs
    tokens = logits.argmax(-1)
    if drawing:
        tokens[drawing] = _drawn(torch, logprobs[drawing], [samplers[row] for row in drawing])
    return tokens, logprobs


def _drawn(torch: Any, logprobs: Any, samplers: Sequence[Sampler]) -> Any:
    """A token of every row, drawn on the CPU, so that one seed gives one text on every device."""
    sums = logprobs.cpu().exp().cumsum(-1, dtype=torch.float64)
    drawn = torch.tensor([one.drawn() for one in samplers], dtype=torch.float64)[:, None]
    # The first sum beyond a draw: a token without a chance adds nothing, so it is never that one.
    found = torch.searchsorted(sums, drawn * sums[:, -1:], right=True)[:, 0]
    return found.to(logprobs.device)


def likeliest(logprobs: Any, wanted: Sequence[int]) -> list[list[tuple[int, float]]]:
    """The `wanted[row]` likeliest tokens of every row, with their log-probabilities (rows, vocabulary)."""
    if not any(wanted):
        return [[] for _ in wanted]
    best = logprobs.topk(min(max(wanted), logprobs.shape[-1]))
    found: list[list[tuple[int, float]]] = []
    for count, ids, values in zip(wanted, best.indices.tolist(), best.values.tolist(), strict=True):
        pairs = zip(ids[:count], values[:count], strict=True)
        found.append([(one, value) for one, value in pairs if value > float("-inf")])
    return found
