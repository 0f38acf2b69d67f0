"""What each endpoint did in a run, added up from what was logged of every reply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from harness.report.cost import tokens_in, uncounted
from harness.storage.reader import Reader


@dataclass(slots=True)
class Share:
    """One endpoint's part.

    Attributes:
        tries: sent requests, those repeated after a failure included.
        model_seconds: from request to reply, added up; requests overlap.
        queue_seconds: of these, in the server's queue, where the server says it.
    """

    requests: int = 0
    tries: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    model_seconds: float = 0.0
    queue_seconds: float = 0.0

    def add(self, facts: Mapping[str, Any]) -> None:
        """Add one reply."""
        self.requests += 1
        self.tries += int(facts.get("attempts", 1))
        self.prompt_tokens += int(facts.get("prompt_tokens", 0))
        self.output_tokens += int(facts.get("output_tokens", 0))
        self.model_seconds += float(facts.get("latency_s", 0.0))
        self.queue_seconds += float(facts.get("queue_s", 0.0))


ByEndpoint = Mapping[str, Share]


def read(reader: Reader) -> ByEndpoint:
    """Read every call of a run; a reply without a logged endpoint counts under `not recorded`."""
    found: dict[str, Share] = {}
    for facts in reader.call_facts():
        found.setdefault(str(facts.get("endpoint") or "not recorded"), Share()).add(facts)
    return dict(sorted(found.items()))


def lines(endpoints: ByEndpoint) -> Iterator[str]:
    """Endpoints for people."""
    for name, one in endpoints.items():
        given = "tokens in not counted" if uncounted(one) else f"{one.prompt_tokens:,} tokens in"
        said = f"{one.requests:,} requests in {one.tries:,} tries, {given} and {one.output_tokens:,} out"
        waited = f"{one.model_seconds:,.1f} s of requests, of these {one.queue_seconds:,.1f} s"
        yield f"  {name}  {said}, {waited} in the server's queue"


def facts(endpoints: ByEndpoint) -> dict[str, dict[str, Any]]:
    """As JSON values; null for what was not counted."""
    return {name: {**asdict(one), "prompt_tokens": tokens_in(one)} for name, one in endpoints.items()}
