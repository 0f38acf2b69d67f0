"""What a command asks of the model instead of what its tasks ask: `--temperature`, `--system` and so on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from harness.errors import UsageError
from harness.running.results import Decoding
from harness.types import Ask, Message, Observation

SYSTEM_LEFT_OUT = "system text not sent (raw prompt)"
"""Noted on calls whose prompt is no conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Decoding settings that replace those of the tasks; None or empty keeps the task's own.

    Ranked choices generate nothing: only `system` and `extra` concern them.

    Attributes:
        temperature: 0 decodes greedily.
        top_p: nucleus sampling.
        max_new_tokens: most generated tokens of a reply.
        stop: strings that end a reply, besides the task's own.
        system: system text, in place of the task's where it has one; an empty one leaves that out.
        extra: further parameters as the server names them, added to every request.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_new_tokens: int | None = None
    stop: tuple[str, ...] = ()
    system: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def told(self) -> dict[str, Any]:
        """What is overridden, as plain data; empty when nothing is."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        values["stop"] = list(self.stop)
        values["extra"] = dict(sorted(self.extra.items()))
        return {name: value for name, value in values.items() if value not in (None, [], {})}

    @property
    def draws(self) -> bool | None:
        """Whether replies are drawn at random (True) or greedily (False); None leaves it to the task."""
        if self.temperature is not None:
            return self.temperature > 0
        return True if self.top_p is not None else None

    def check(self, model: str, decoding: Decoding) -> None:
        """Refuse overrides that contradict each other, the decoding, or a model that generates nothing.

        Raises:
            UsageError: with what to leave out.
        """
        if self.told() and (model == "oracle" or model.startswith("replay:")):
            named = ", ".join(f"--{name.replace('_', '-')}" for name in self.told())
            raise UsageError(f"{model} generates nothing: leave out {named}")
        if self.temperature == 0 and self.top_p is not None:
            raise UsageError(
                "--temperature 0 decodes greedily, which has no use for a nucleus: leave out --top-p"
            )
        if decoding != "protocol" and self.draws is not None:
            named = "--temperature" if self.temperature is not None else "--top-p"
            raise UsageError(f"--decoding {decoding} says how replies are drawn: leave it out, or {named}")
        if decoding == "released" and self.max_new_tokens is not None:
            raise UsageError("--decoding released sends the released lengths: leave out --max-new-tokens")

    def over(self, ask: Ask) -> Ask:
        """A task's request with these settings in place of its own; ranked choices keep theirs."""
        if ask.choices:
            return ask
        if self.temperature is not None:
            nucleus = ask.top_p if self.temperature else None
            ask = replace(ask, temperature=self.temperature or None, top_p=nucleus)
        if self.top_p is not None:
            ask = replace(ask, top_p=self.top_p)
        if self.stop:
            ask = replace(ask, stop=tuple(dict.fromkeys((*ask.stop, *self.stop))))
        if self.max_new_tokens is None:
            return ask
        grown = max(0, self.max_new_tokens - ask.max_new_tokens)
        # Both together grow to no more than they were; a shorter reply lets the server keep no more prompt.
        kept = None if ask.truncate is None else max(1, ask.truncate - grown)
        return replace(ask, max_new_tokens=self.max_new_tokens, truncate=kept)

    def begins(self, observation: Observation) -> Observation:
        """The first observation of a context with the system text."""
        if self.system is None or observation.raw is not None:
            return observation
        told = observation.messages
        own = told[:1] if told and told[0].role == "system" else ()
        pin = own[0].pin if own else ""  # a task's text keeps its place in front of what history policies cut
        said = (Message("system", self.system, pin),) if self.system else ()
        return replace(observation, messages=(*said, *told[len(own) :]))
