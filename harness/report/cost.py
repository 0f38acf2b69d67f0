"""What a run took: requests, tokens, time, and money where prices are given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from harness.storage.reader import Cost
from harness.storage.words import counted, duration

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost, in any currency."""

    prompt: float
    output: float

    def of(self, cost: Cost) -> float | None:
        """The price of a task or a run; None when a server did not count its tokens."""
        if uncounted(cost):
            return None
        return (cost.prompt_tokens * self.prompt + cost.output_tokens * self.output) / MILLION


class Counted(Protocol):
    """Requests, and the tokens that servers counted in their prompts."""

    @property
    def requests(self) -> int:
        """How many there were."""
        ...

    @property
    def prompt_tokens(self) -> int:
        """0 where no server counted them."""
        ...


def uncounted(cost: Counted) -> bool:
    """Whether the server said nothing of the tokens in its prompts, of which none is empty."""
    return cost.requests > 0 and not cost.prompt_tokens


def tokens_in(cost: Counted) -> int | None:
    """The tokens in the prompts of a task or an endpoint; None when they were not counted."""
    return None if uncounted(cost) else cost.prompt_tokens


def added(values: Iterable[float | None]) -> float | None:
    """The sum; None when one of the values is not known."""
    known = list(values)
    return None if None in known else sum(one for one in known if one is not None)


def total(costs: Iterable[Cost]) -> Cost:
    """The sum over tasks."""
    columns = list(zip(*costs, strict=True))
    attempts, requests, prompt, output, seconds = map(sum, columns) if columns else (0, 0, 0, 0, 0.0)
    return Cost(attempts, requests, prompt, output, seconds)


def told(costs: Sequence[Cost], price: Price | None) -> str:
    """The costs of a run's tasks as text; empty when no model was asked anything."""
    cost = total(costs)
    if not cost.requests:
        return ""
    least = "at least " if any(map(uncounted, costs)) else ""
    given = (
        "tokens in not counted by the server"
        if uncounted(cost)
        else f"{least}{cost.prompt_tokens:,} tokens in"
    )
    parts = [
        counted(cost.requests, "request"),
        f"{given} and {cost.output_tokens:,} out",
        f"{duration(cost.seconds)} of episodes, added up over {counted(cost.attempts, 'attempt')}",
    ]
    if price is not None:
        rates = f"at {price.prompt:g} in and {price.output:g} out a million"
        parts.append(f"price {priced(added(map(price.of, costs)))} {rates}")
    return "; ".join(parts)


def priced(price: float | None) -> str:
    """A price as text; a dash where it is not known."""
    return "—" if price is None else f"{price:.2f}"


def facts(cost: Cost, price: Price | None) -> dict[str, Any]:
    """As JSON values; `seconds` of episodes, which overlap, added up; null for what was not counted."""
    known = {**cost._asdict(), "prompt_tokens": tokens_in(cost)}
    return {**known, **({"price": price.of(cost)} if price is not None else {})}
