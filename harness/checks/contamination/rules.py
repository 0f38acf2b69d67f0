"""When a sample counts as contained in training data: two published rules over spans of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from harness.catalog.registry import nearest

Verdict = Literal["dirty", "between", "clean", "short"]
VERDICTS: tuple[Verdict, ...] = ("dirty", "between", "clean", "short")
"""`between` is neither dirty nor clean; `short` has fewer tokens than a span and cannot be found."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule.

    Attributes:
        span: tokens that a run of a sample must share with one training text to count as covered.
        dirty: share of covered tokens from which a sample is dirty, in [0, 1]; 0 means any.
        clean: share below which it is clean; 0 means none.
        about: the rule in words.
    """

    name: str
    span: int
    dirty: float
    clean: float
    about: str

    def verdict(self, covered: int, tokens: int) -> Verdict:
        """What a sample is, of whose tokens so many are covered."""
        if tokens < self.span:
            return "short"
        if not covered or covered / tokens < self.clean:
            return "clean"
        return "dirty" if covered / tokens >= self.dirty else "between"


RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            "llama2",
            span=10,
            dirty=0.8,
            clean=0.2,
            about="a token is covered when it lies in a run of at least 10 tokens that one training text "
            "has as well; dirty from 80 % covered, clean below 20 % (Llama 2, section A.6, without its "
            "skip-gram budget; that AgentTuning used exactly this rule is recalled, not verified)",
        ),
        Rule(
            "ngram13",
            span=13,
            dirty=0.0,
            clean=0.0,
            about="dirty when any run of 13 tokens stands in a training text, clean otherwise (GPT-3, "
            "appendix C, at its largest n)",
        ),
    )
}


def find(name: str) -> Rule:
    """A rule by name.

    Raises:
        UsageError: there is none, with the nearest names.
    """
    if name not in RULES:
        raise nearest(name, RULES, "rule")
    return RULES[name]
