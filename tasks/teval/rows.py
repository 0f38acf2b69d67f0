"""Reads T-Eval's eight files into rows, and says what is wrong with a folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from harness.errors import DataError, UsageError
from harness.types import Message, Role, TaskConfig
from tasks.teval.action import steps

FILES: Mapping[str, str] = {
    "instruct": "instruct_v2",
    "review_str": "review_str_v2",
    "plan_json": "plan_json_v2",
    "plan_str": "plan_str_v2",
    "reason_str": "reason_str_v2",
    "retrieve_str": "retrieve_str_v2",
    "understand_str": "understand_str_v2",
    "rru_json": "reason_retrieve_understand_json_v2",
}
"""The file of each run, without its ending, in the order in which they are played."""

ENDINGS: Mapping[str, str] = {"full": ".json", "subset": "_subset.json"}
"""The ending of a split's files; the subset is a fifth of the cases."""

DIMENSIONS: Mapping[str, tuple[str, ...]] = {
    "instruct": ("instruct",),
    "plan": ("plan_str", "plan_json"),
    "reason": ("reason_str", "rru_json"),
    "retrieve": ("retrieve_str", "rru_json"),
    "understand": ("understand_str", "rru_json"),
    "review": ("review_str",),
}
"""The runs that each of the six dimensions is the mean of."""

FIX = "give T-Eval's v2 data as it was published (see the task's README)"
LARGEST = 2 << 30
"""Most bytes of a file."""

CHOICES = ("A", "B", "C", "D", "E")
_ROLES = ("system", "user", "assistant", "function")
_QUERY = re.compile(r"query_\d+(?=_|$)")
_MARKERS = ("thought_start", "thought_end", "action_start", "action_end", "args_start", "args_end")


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One case.

    Attributes:
        part: the run, and for `instruct` the format as well; results are averaged by it.
        gold: the right answer: an action with its args (instruct), a list of steps (plan), a letter
            (review), else an object with thought, name and args.
        template: what names the keys (JSON) or marks the fields (text) of an answer to `instruct`.
        apis: names of the APIs a plan in words may use.
    """

    run: str
    id: str
    part: str
    messages: tuple[Message, ...]
    gold: Any
    template: Mapping[str, str]
    apis: tuple[str, ...]

    @property
    def cluster(self) -> str:
        """The query that several cases were cut from, empty when the id does not say."""
        found = _QUERY.match(self.id)
        return found[0] if found else ""


def chosen_runs(text: str) -> tuple[str, ...]:
    """Read the option `runs`: runs and dimensions, comma-separated, or `all`.

    Raises:
        UsageError: an unknown name.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    wanted = {run for name in names for run in DIMENSIONS.get(name, (name,))}
    if "all" in names or wanted == set(FILES):
        return tuple(FILES)
    if not wanted or wanted - set(FILES):
        unknown = ", ".join(sorted(wanted - set(FILES))) or "none"
        known = ", ".join(dict.fromkeys(("all", *FILES, *DIMENSIONS)))
        raise UsageError(f"--set teval.runs={text}: unknown run {unknown}; known are {known}")
    return tuple(run for run in FILES if run in wanted)


def file_of(cfg: TaskConfig, run: str) -> Path:
    """The file that holds a run's cases in this split; a fixture's serve for both."""
    return cfg.data / f"{FILES[run]}{ENDINGS['full' if cfg.source == 'fixture' else cfg.split]}"


def mistaken(path: Path) -> str | None:
    """What is there in place of a file that is missing: that of the other split, or of the first version."""
    if path.is_file():
        return None
    stem, _, ending = path.name.partition("_v2")
    split, other = ("full", ".json") if ending == ENDINGS["subset"] else ("subset", ENDINGS["subset"])
    if path.with_name(f"{stem}_v2{other}").is_file():
        return f"missing; {stem}_v2{other} is there: --split {split}"
    there = [name for name in (f"{stem}_v1.json", f"{stem}.json") if path.with_name(name).is_file()]
    return f"missing; {there[0]} is of version 1, whose cases are others" if there else None


def cases(path: Path, run: str) -> Iterator[CaseRow]:
    """Read a run's file.

    Raises:
        DataError: the file cannot be read, or a record lacks what its run needs; the record is named.
    """
    for name, record in _records(path).items():
        try:
            yield _case(run, name, record)
        except (KeyError, TypeError, ValueError) as error:
            why = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{path}: record {name!r}: {why}; {FIX}") from error


def _records(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path} has more than {LARGEST} bytes; {FIX}")
        found = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; {FIX}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {error}; {FIX}") from error
    if not isinstance(found, dict) or not found:
        raise DataError(f"{path} is no object of records by name, or holds none; {FIX}")
    return cast("Mapping[str, Any]", found)


def _case(run: str, name: str, record: Mapping[str, Any]) -> CaseRow:
    messages = tuple(map(_message, record["origin_prompt"]))
    if not messages or messages[-1].role not in ("user", "function"):
        raise ValueError("origin_prompt does not end with a user's or a function's message")
    reader = {"instruct": _instruct, "review_str": _review, "plan_json": _plan, "plan_str": _plan}
    part, gold, template, apis = reader.get(run, _called)(run, record)
    return CaseRow(run, name, part, messages, gold, template, apis)


def _message(turn: Mapping[str, Any]) -> Message:
    role, content = turn["role"], turn["content"]
    if role not in _ROLES or not isinstance(content, str):
        raise ValueError(f"a message of role {role!r}, or without a text")
    return Message(cast(Role, role), content, "task")


_Read = tuple[str, Any, Mapping[str, str], tuple[str, ...]]


def _instruct(run: str, record: Mapping[str, Any]) -> _Read:
    form = record["meta_data"]["response_format"]
    keys: Sequence[str] = ("thought", "action", "args") if form == "json" else _MARKERS
    template = {key: _text(record["template"][key], key) for key in keys}
    gold = record["ground_truth"]
    if form not in ("json", "string") or not isinstance(gold["args"], dict):
        raise ValueError(f"response_format {form!r}, or a ground truth whose args are no object")
    return f"instruct_{form}", {"action": gold["action"], "args": gold["args"]}, template, ()


def _review(run: str, record: Mapping[str, Any]) -> _Read:
    answer = record["ground_truth"]["answer"]
    if answer not in CHOICES or record["meta_data"]["response_format"] == "json":
        raise ValueError(f"answer {answer!r}, or a format that is not answered by a letter")
    return run, answer, {}, ()


def _plan(run: str, record: Mapping[str, Any]) -> _Read:
    gold = steps(record["ground_truth"])
    if not gold:
        raise ValueError("the ground truth is no plan of steps with name, id and args")
    apis = tuple(_text(api, "API_list") for api in record["meta"]["API_list"]) if run == "plan_str" else ()
    return run, gold, {}, apis


def _called(run: str, record: Mapping[str, Any]) -> _Read:
    gold = record["ground_truth"]
    if not isinstance(gold, dict):
        raise ValueError("the ground truth is no object")
    wanted = ("thought", "name", "args") if run == "rru_json" else (_FIELDS[run],)
    for field in wanted:
        if field not in gold:
            raise KeyError(f"ground_truth.{field}")
    if run == "rru_json" and not isinstance(gold["args"], dict):
        raise ValueError("the ground truth's args are no object")
    return run, {field: gold[field] if field == "args" else str(gold[field]) for field in wanted}, {}, ()


_FIELDS = {"reason_str": "thought", "retrieve_str": "name", "understand_str": "args"}


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{name} is no text")
    return value
