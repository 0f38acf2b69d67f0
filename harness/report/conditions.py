"""What a run's calls say about its numbers: for readers, and for whether two numbers may be compared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

METHODS: Mapping[str, str] = {
    "G": "a grammar that allows only the choices (method G)",
    "P": "the prompt's log-probabilities (method P)",
    "T": "the likeliest tokens (method T)",
    "O": "the server's likeliest tokens over OpenAI's protocol (method O)",
    "F": "the first choice in generated text (method F)",
}
_METHOD, _DECODING, _IMPUTED, _CUT = "choices by method ", "decoding ", "imputed:", "reply cut"
_EPISODES, _WITH_IMPUTED = "episodes", "episodes with imputed values"
SPOILING = 0.01
"""Share of samples with a value that the server did not give, above which a number is not comparable."""

_SHOWN = 80
"""Characters shown of a value that was typed."""

_TOLD: Mapping[str, str] = {
    "raw->user": "raw prompts were sent as one user message of a chat (raw->user)",
    "truncate not sent": "the server does not cut long prompts: long episodes end earlier than the paper's"
    " (truncate not sent)",
}
_COUNTED: Mapping[str, str] = {
    "finish_reason length": "replies ended at max_new_tokens",
    "empty reply": "replies were empty",
    "thought": "replies began with a thought, which was taken out",
    "refusal": "replies were marked as refusals by the server",
    "tool call": "replies called a tool, though none was offered",
}
"""Traits whose share is shown to the reader; they do not keep two numbers from being compared."""


def overridden(config: Mapping[str, Any]) -> str:
    """What a run asked of its model instead of what the tasks ask, as it was typed; empty for nothing."""
    told = cast("Mapping[str, Any]", config.get("sampling") or {})
    parts: list[str] = []
    for name, value in told.items():
        option = "--" + name.replace("_", "-")
        if name == "extra":
            given = [f"{key}={json.dumps(one, ensure_ascii=False)}" for key, one in value.items()]
        else:
            given = [json.dumps(one, ensure_ascii=False) for one in (value if name == "stop" else [value])]
        parts += [f"{option} {one if len(one) <= _SHOWN else one[:_SHOWN] + '...'}" for one in given]
    return ", ".join(parts)


class Conditions:
    """Under which conditions a task's answers were got.

    Args:
        traits: as `harness.running.traits` stores them.
        counts: calls by trait, with all `calls`; empty in runs of older versions.
    """

    def __init__(self, traits: Sequence[str] = (), counts: Mapping[str, int] | None = None) -> None:
        self._traits, self._counts = tuple(traits), counts or {}

    @property
    def decodings(self) -> list[str]:
        """How answers were drawn, as text."""
        return [t.removeprefix(_DECODING) for t in self._traits if t.startswith(_DECODING)]

    def moving(self) -> dict[str, str]:
        """What moves the number, by name; two numbers that differ in one of these do not compare."""
        told = {"choices": ", ".join(self._methods()), "decoding": " and ".join(self.decodings)}
        told |= {name: "yes" for name in _TOLD if name in self._traits}
        if self._imputed() > SPOILING:
            told["imputed values"] = "yes"
        if any(t.startswith(_CUT) for t in self._traits):
            told["cut replies"] = "yes"
        return {name: value for name, value in told.items() if value}

    def against_paper(self) -> list[str]:
        """Why the number is not comparable with a published one."""
        reasons = [f"choices by {METHODS['F']}"] if "F" in self._methods() else []
        reasons += [_TOLD[name] for name in _TOLD if name in self._traits]
        return [*reasons, *self._spoiled(least=SPOILING)]

    def notes(self) -> list[str]:
        """Remarks that a reader needs to judge the number."""
        methods = self._methods()
        told = [f"choices ranked by {METHODS.get(name, name)}" for name in methods]
        told += [text for name, text in _TOLD.items() if name in self._traits]
        own = (_METHOD, _DECODING, _IMPUTED, _CUT)
        told += [f"{text} ({self._number(name)})" for name, text in _COUNTED.items() if name in self._traits]
        others = [t for t in self._traits if t not in {*_TOLD, *_COUNTED} and not t.startswith(own)]
        return [*told, *self._spoiled(), *others]

    def _spoiled(self, *, least: float = 0.0) -> list[str]:
        found: list[str] = []
        if self._imputed() > least:
            text = "log-probabilities that the server left out were set to a floor"
            found.append(f"{text} ({self._samples()}{self._share(_IMPUTED)})")
        if any(t.startswith(_CUT) for t in self._traits):
            found.append(f"replies were cut at the harness's bound ({self._share(_CUT)})")
        return found

    def _methods(self) -> list[str]:
        return [t.removeprefix(_METHOD) for t in self._traits if t.startswith(_METHOD)]

    def _imputed(self) -> float:
        """Share of samples with a value that the server did not give; 1 where this was not counted."""
        if not any(t.startswith(_IMPUTED) for t in self._traits):
            return 0.0
        played, held = self._counts.get(_EPISODES, 0), self._counts.get(_WITH_IMPUTED, 0)
        return held / played if played else 1.0

    def _samples(self) -> str:
        """In how many samples a value was imputed; empty in runs that did not count them."""
        played, held = self._counts.get(_EPISODES, 0), self._counts.get(_WITH_IMPUTED, 0)
        return f"in {held:,} of {played:,} samples, " if played else ""

    def _number(self, name: str) -> str:
        """In how many calls a trait was seen."""
        seen, calls = self._counts.get(name, 0), self._counts.get("calls", 0)
        return f"{seen:,} of {calls:,} calls, {100 * seen / calls:.1f} %" if calls else "number not recorded"

    def _share(self, prefix: str) -> str:
        """In which share of the calls a trait was seen."""
        calls = self._counts.get("calls", 0)
        seen = sum(count for name, count in self._counts.items() if name.startswith(prefix))
        return f"{100 * seen / calls:.1f} % of calls" if calls else "share not recorded"
