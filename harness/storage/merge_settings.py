"""What the settings of shards become in one store: equal ones stay, counts are added, lists united."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from harness.storage.manifest import config_hash

Settings = Mapping[str, Any]
"""A store's settings: JSON values by key."""

SHARD = "shard"


def undivided(settings: Settings) -> dict[str, Any]:
    """The configuration of the whole run that a shard is a part of; its own when it is none."""
    config = dict(settings["config"])
    whole = cast("Mapping[str, list[str]]", settings.get("whole") or {})
    if not config.get(SHARD):
        return config
    tasks = {name: {**facts, **_samples(whole[name])} for name, facts in config["tasks"].items()}
    return config | {SHARD: None, "tasks": tasks}


def _samples(ids: Sequence[str]) -> dict[str, Any]:
    """What a configuration says of a task's samples, as `TaskPlan.config` does."""
    return {"samples": config_hash({"ids": ids}), "count": len(ids)}


def united(shards: Sequence[Settings]) -> dict[str, Any]:
    """The settings of the run that shards make up together.

    What only one of them can have is the first one's; its samples' labels are compared with the stored ones
    by the next command, whatever they are.
    """
    found: dict[str, Any] = {}
    for key in dict.fromkeys(key for shard in shards for key in shard):
        values = [shard[key] for shard in shards if shard.get(key) is not None]
        if values:
            found[key] = _united(key, values)
    found["config"] = undivided(shards[0])
    found["labels"] = dict.fromkeys(found["config"]["tasks"], "")
    return found


def _united(key: str, values: Sequence[Any]) -> Any:
    kind = key.partition("/")[0]
    if kind == "counts":
        total = Counter[str]()
        for value in values:
            total.update(cast("Mapping[str, int]", value))
        return dict(sorted(total.items()))
    if kind in ("traits", "systems", "unrecorded", "ignored"):
        return sorted({word for value in values for word in value})
    if kind == "code":
        return _by_key(values, lambda lists: _distinct(one for each in lists for one in each))
    if kind == "missing":
        return {name: lines for value in reversed(values) for name, lines in value.items()}
    if kind == "model":
        ends = _distinct(one for value in values for one in value.get("endpoints") or ())
        return {**values[0], **({"endpoints": ends} if ends else {})}
    if kind == "fingerprint":
        return _by_key(values, lambda texts: " | ".join(_distinct(map(str, texts))))
    if kind == "world":
        told = ("notes", "stand_ins")
        lists = {name: _distinct(one for v in values for one in v.get(name, ())) for name in told}
        reasons = _distinct(str(value["comparable"]) for value in values if value.get("comparable"))
        return {**lists, "comparable": "; ".join(reasons)}
    return values[0]


def _by_key(values: Sequence[Mapping[str, Any]], unite: Callable[[list[Any]], Any]) -> dict[str, Any]:
    keys = dict.fromkeys(key for value in values for key in value)
    return {key: unite([value[key] for value in values if key in value]) for key in keys}


def _distinct(found: Iterable[Any]) -> list[Any]:
    """Values in the order they came, each once."""
    kept: list[Any] = []
    for one in found:
        if one not in kept:
            kept.append(one)
    return kept
