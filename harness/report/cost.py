"""What a run took: requests, tokens, time, and money where prices are given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.storage.reader import Cost
from harness.storage.words import counted, duration

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost, in any currency."""

    prompt: float
    output: float

    def of(self, cost: Cost) -> float:
        """The price of a task or a run."""
        return (cost.prompt_tokens * self.prompt + cost.output_tokens * self.output) / MILLION


def total(costs: Iterable[Cost]) -> Cost:
    """The sum over tasks."""
    columns = list(zip(*costs, strict=True))
    attempts, requests, prompt, output, seconds = map(sum, columns) if columns else (0, 0, 0, 0, 0.0)
    return Cost(attempts, requests, prompt, output, seconds)


def told(cost: Cost, price: Price | None) -> str:
    """As text; empty when no model was asked anything."""
    if not cost.requests:
        return ""
    parts = [
        counted(cost.requests, "request"),
        f"{cost.prompt_tokens:,} tokens in and {cost.output_tokens:,} out",
        f"{duration(cost.seconds)} of episodes, added up over {counted(cost.attempts, 'attempt')}",
    ]
    if price is not None:
        rates = f"at {price.prompt:g} in and {price.output:g} out a million"
        parts.append(f"price {price.of(cost):.2f} {rates}")
    return "; ".join(parts)


def facts(cost: Cost, price: Price | None) -> dict[str, Any]:
    """As JSON values; `seconds` of episodes, which overlap, added up."""
    return {**cost._asdict(), **({"price": price.of(cost)} if price is not None else {})}
