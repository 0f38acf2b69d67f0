"""From a reply to the numbers of its case, and from cases to six dimensions and their mean."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, cast

from harness.types import JudgeAsk, Pending, Profile, Row, Score, by
from harness.types.average import Table
from tasks.teval import action, embedding, plan
from tasks.teval.rows import DIMENSIONS, CaseRow

METRIC = "t-eval@v2"
SUBSTITUTE = "substitute_embedder"
"""Marks numbers by another embedder than the published ones are made with; with any there is no Overall."""
PROFILES: tuple[Profile, ...] = ("paper", "fixed")
Numbers = Mapping[str, float]
Both = Mapping[Profile, Numbers]

PARTS: Mapping[str, int] = {
    **dict.fromkeys(("instruct_json", "instruct_string", "plan_json", "plan_str", "reason_str"), 1),
    **{"retrieve_str": 1, "understand_str": 1, "rru_json": 3, "review_str": 2},
}
"""Twelfths of the Overall by part: rru_json is the half of three dimensions, review_str the whole of one."""

_HALVES = {**DIMENSIONS, "instruct": ("instruct_json", "instruct_string")}
THIRDS = {"reason": "thought", "retrieve": "name", "understand": "args"}
_EPSILON = 1e-5
"""Upstream divides by the number of args and this."""


def valued(row: CaseRow, text: str, profile: Profile) -> Score | Pending:
    """Value a reply under both rules; where vectors are needed, all but what they decide.

    Args:
        row: the case.
        text: the reply.
        profile: whose value counts.
    """
    said = {name: action.cut(text, name) for name in PROFILES}
    known: Both = {name: _known(row, said[name], name) for name in PROFILES}
    base = {"part": row.part, "profile": profile, "known": known}
    texts = embedding.Texts()
    if row.run in ("plan_json", "plan_str"):
        plans = {name: texts.plan(_steps(row, said[name])) for name in PROFILES}
        info = {**base, "plans": plans, "gold": texts.plan(row.gold)}
        waits = any(one["compared"] for one in plans.values())
    elif row.run in ("reason_str", "rru_json"):
        thoughts = {name: _thought(row, said[name], name) for name in PROFILES}
        places = {name: None if one is None else texts.place(one) for name, one in thoughts.items()}
        info = {**base, "thoughts": places, "gold": texts.place(row.gold["thought"])}
        waits = any(place is not None for place in places.values())
    else:
        return _score(row.part, profile, known)
    if not waits:
        return _from_vectors(info, None)
    return Pending((texts.ask(info),), metrics={**known[profile], "waits": 1.0})


def resolved(item: JudgeAsk, verdict: str) -> Score:
    """Value a case by the cosines of its texts."""
    found = embedding.read(verdict, len(item.messages))
    if found is None:
        return Score(0.0, {SUBSTITUTE: 1.0}, "the embedder's verdict cannot be read")
    score = _from_vectors(item.info, found)
    return Score(score.value, {**score.metrics, **({SUBSTITUTE: 1.0} if found.substitute else {})})


def _score(part: str, profile: Profile, numbers: Both) -> Score:
    """The value under a profile is the mean of the case's numbers; of a plan's, F1 alone."""
    values = {
        name: found["f1"] if "f1" in found else fmean(found.values()) for name, found in numbers.items()
    }
    return Score(values[profile], {**numbers[profile], **values})


def _from_vectors(info: Mapping[str, Any], cosines: embedding.Cosines | None) -> Score:
    """Complete a case's numbers; without cosines there is nothing to compare."""
    numbers: dict[Profile, Numbers] = {}
    for name in PROFILES:
        known = cast(Numbers, info["known"][name])
        if "plans" in info:
            numbers[name] = _plan(info["plans"][name], info["gold"], cosines, name)
        else:
            place = info["thoughts"][name]
            like = 0.0 if cosines is None or place is None else cosines.like(place, info["gold"])
            numbers[name] = {**known, "thought": like}
    return _score(info["part"], info["profile"], numbers)


def _plan(
    said: Mapping[str, Any], gold: Mapping[str, Any], cosines: embedding.Cosines | None, profile: Profile
) -> Numbers:
    mine, right = said["compared"], gold["compared"]

    def like(one: int, other: int) -> float:
        assert cosines is not None  # a plan with steps has a verdict
        (name, args), (true_name, true_args) = mine[one], right[other]
        return plan.NAME_WEIGHT * cosines.like(name, true_name) + plan.ARGS_WEIGHT * cosines.like(
            args, true_args
        )

    return plan.compared(len(mine), len(right), like, said["steps"], profile)


# -- what needs no vectors


def _known(row: CaseRow, text: str, profile: Profile) -> Numbers:
    if row.run == "instruct":
        return _instruct(row, text, profile)
    if row.run == "review_str":
        return {"choice": float(action.letter(text) == row.gold)}
    if row.run == "retrieve_str":
        name = row.gold["name"]
        return {"name": float(name in text and all(one == name for one in action.names(text)))}
    if row.run == "understand_str":
        return {"args": float(text.strip("'").strip('"') == str(row.gold["args"]))}
    if row.run == "rru_json":
        said = _object(text)
        return {
            "name": float(said.get("name") == row.gold["name"]),
            "args": _same_args(said, row.gold["args"]),
        }
    return {}


def _instruct(row: CaseRow, text: str, profile: Profile) -> Numbers:
    if row.part == "instruct_json":
        said = action.call(text, row.template)
    else:
        said = action.marked_call(text, row.template, profile)
    if said is None:
        return {"format": 0.0, "args_em": 0.0}
    gold: Mapping[str, Any] = row.gold["args"]
    right = [said[0] == row.gold["action"], *(said[1].get(key, "") == value for key, value in gold.items())]
    return {"format": 1.0, "args_em": sum(map(bool, right)) / len(right)}


def _object(text: str) -> Mapping[str, Any]:
    """A reply's thought and name as texts, and its args; empty when it is no object."""
    try:
        found = action.load(text, "{", "}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    said = cast("Mapping[Any, Any]", found)
    args = said.get("args")
    return {
        "thought": _text(said.get("thought", "")),
        "name": _text(said.get("name", "")),
        "args": args if isinstance(args, dict) else {},
    }


def _text(value: object) -> str:
    """A value as text; empty where Python refuses to write it (a number of too many digits)."""
    try:
        return str(value)
    except (ValueError, RecursionError):
        return ""


def _same_args(said: Mapping[str, Any], gold: Mapping[str, Any]) -> float:
    """The share of right args whose texts are equal; where none is right, whether none was given."""
    if "args" not in said:
        return 0.0
    mine = cast("Mapping[Any, Any]", said["args"])
    if not gold:
        return float(not mine)
    same = sum(key in mine and _text(mine[key]) == str(value) for key, value in gold.items())
    return same / (len(gold) + _EPSILON)


def _thought(row: CaseRow, text: str, profile: Profile) -> str | None:
    """What is compared with the right thought; `paper` also compares an empty one."""
    said = text if row.run == "reason_str" else _object(text).get("thought")
    return None if profile == "fixed" and not said else said


def _steps(row: CaseRow, text: str) -> tuple[action.Step, ...]:
    return action.steps(text) if row.run == "plan_json" else action.said_steps(text, row.apis)


# -- averages


def aggregate(rows: Sequence[Row]) -> dict[str, float]:
    """The Overall under both rules, the dimensions and their parts; without what waits or was not played."""
    if not rows:
        return {}
    means, parts = by(rows, "part"), _numbers_by_part(rows)
    found: dict[str, float] = {METRIC: headline(rows)}
    for name in PROFILES:
        found[name] = _overall({part: numbers.get(name, math.nan) for part, numbers in parts.items()})
    if _substituted(rows):
        found = {SUBSTITUTE: 1.0}
    found |= {name: _dimension(name, means, parts) for name in DIMENSIONS}
    for part, numbers in sorted(parts.items()):
        found[f"part/{part}"] = means[part]
        found |= {f"{part}/{name}": value for name, value in numbers.items() if name != SUBSTITUTE}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def headline(rows: Sequence[Row]) -> float:
    """The mean of the six dimensions; NaN where a part is missing, or its vectors are a substitute's."""
    return math.nan if _substituted(rows) else _overall(by(rows, "part"))


def _overall(means: Mapping[str, float]) -> float:
    if means.keys() != PARTS.keys():
        return math.nan
    return sum(weight * means[part] for part, weight in PARTS.items()) / sum(PARTS.values())


def _dimension(name: str, means: Mapping[str, float], parts: Mapping[str, Numbers]) -> float:
    third = parts.get("rru_json", {}).get(THIRDS.get(name, ""), math.nan)
    return fmean(third if part == "rru_json" else means.get(part, math.nan) for part in _HALVES[name])


def _numbers_by_part(rows: Sequence[Row]) -> Mapping[str, Numbers]:
    """The mean of each number that all of a part's rows have."""
    found: dict[str, list[Numbers]] = defaultdict(list)
    for row in rows:
        found[row.labels.get("part", "")].append(row.metrics)
    return {
        part: {
            name: fmean(numbers[name] for numbers in listed)
            for name in listed[0]
            if name != "waits" and all(name in numbers for numbers in listed)
        }
        for part, listed in found.items()
    }


def _substituted(rows: Sequence[Row]) -> bool:
    if isinstance(rows, Table):
        return SUBSTITUTE in rows.metrics()
    return any(SUBSTITUTE in row.metrics for row in rows)
