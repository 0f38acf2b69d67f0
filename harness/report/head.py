"""What a report says above its table: which model, how it was served and asked, when, and of how much."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from harness.report.conditions import Conditions, overridden
from harness.storage.reader import Reader
from harness.storage.store_part import PART
from harness.storage.words import counted, duration

Head = Mapping[str, str]
"""One text for each name, in the order in which they are printed."""

UNIDENTIFIED = "weights not identified by the server"
TIMES = "\N{MULTIPLICATION SIGN}"
INSIDE = ("oracle", "replay")
NAMED = 4
"""Tasks of one decoding that the head names; more are counted."""
_SENT = {
    "tgi": "greedy sent as do_sample false without a temperature",
    "hf": "greedy sent as do_sample false without a temperature",
    "openai": "greedy sent as temperature 0",
    "chat": "greedy sent as temperature 0",
}


def head(reader: Reader, config: Mapping[str, Any], conditions: Mapping[str, Conditions]) -> Head:
    """The head of a run's report; what an older version did not record is left out."""
    model = cast("Mapping[str, Any]", reader.meta("model") or {})
    lines = {
        "model": _model(config, model, reader.meta("identity")),
        "template": _templates(model),
        "server": _server(model),
        "played": _played(reader),
        "harness": _harness(reader.commands()),
        "profile": f"{config['profile']}, seed {config['seed']}",
        "decoding": _decoding(config, model, conditions),
        "understood": _understood(model),
        "ignored": ", ".join(map(str, reader.meta("ignored") or ())),
        "reasoning": "thoughts kept in the replies" if config.get("reasoning") == "keep" else "",
        "asked": f"{told}: not comparable with the paper" if (told := overridden(config)) else "",
        "comparable": f"no ({reason})" if (reason := model.get("comparable")) else "",
        "samples": _samples(config, reader.meta("chosen")),
        "judge": _judges(reader, config),
        "roles": ", ".join(map(str, config.get("roles") or ())),
        "holds": str(reader.meta(PART) or ""),
        "not recorded": ", ".join(map(str, reader.meta("unrecorded") or ())),
        "warning": "; ".join(map(str, model.get("warnings") or ())),
    }
    return {name: text for name, text in lines.items() if text}


def _model(config: Mapping[str, Any], model: Mapping[str, Any], identity: Any) -> str:
    name, kind = str(config["model"]), model.get("kind")
    if kind in INSIDE:
        whose = "the answers are the harness's own" if kind == "oracle" else "the replies are a file's"
        return f"{name} (no model: {whose})"
    told = cast("Mapping[str, str]", identity or {})
    ends = cast("Sequence[Mapping[str, Any]]", model.get("endpoints") or ())
    served = told.get("served") or _first(ends, "model_id")
    sha = told.get("sha") or _first(ends, "model_sha")
    parts = [f"{name} = {served}" if served and served != name else name]
    if root := told.get("root"):
        parts.append(f"weights from {root}")
    parts.append(f"revision {sha}" if sha else UNIDENTIFIED)
    return ", ".join(parts)


def _first(endpoints: Sequence[Mapping[str, Any]], key: str) -> str:
    return next((str(one[key]) for one in endpoints if one.get(key)), "")


def _templates(model: Mapping[str, Any]) -> str:
    """Each template with the beginning of its hash, the default one first."""
    used = cast("Mapping[str, Mapping[str, Any]]", model.get("templates") or {})
    if not used:
        return "the server's own" if model.get("kind") == "chat" else ""
    parts = [
        f"{one.get('id', 'template')} {one.get('sha256', '')[:8]}{f' for {name}' * (name != 'default')}"
        + "".join(f" ({note})" for note in one.get("notes") or ())
        for name, one in used.items()
    ]
    return ", ".join(parts)


def _server(model: Mapping[str, Any]) -> str:
    ends = cast("Sequence[Mapping[str, Any]]", model.get("endpoints") or ())
    if not ends or model.get("kind") in INSIDE:
        return ""
    versions = sorted({str(one.get("version") or "") for one in ends} - {""})
    kind = "TGI" if versions else str(ends[0].get("server") or "unknown server")
    count = counted(len(ends), "replica")
    spoken = "completions" if model.get("kind") == "openai" else model.get("kind")  # as people type it
    return f"{' '.join([kind, *versions])}, {count}, spoken to as {spoken}"


def _played(reader: Reader) -> str:
    began, ended = reader.span()
    if began is None or ended is None:
        return ""
    first, last = (datetime.fromtimestamp(when, UTC) for when in (began, ended))
    until = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M}"
    return f"{first:%Y-%m-%d %H:%M} to {until} UTC ({duration(ended - began)})"


def _harness(commands: Sequence[Mapping[str, Any]]) -> str:
    """Versions and commits of all commands that touched the run."""
    seen: dict[str, None] = {}
    for command in commands:
        told = cast("Mapping[str, Any]", command.get("environment") or {})
        version = cast("Mapping[str, str]", told.get("packages") or {}).get("agenttuning-harness", "")
        commit = f"commit {told['commit']}" if told.get("commit") else ""
        seen[", ".join(part for part in (version, commit) if part)] = None
    return "; ".join(text for text in seen if text)


def _decoding(
    config: Mapping[str, Any], model: Mapping[str, Any], conditions: Mapping[str, Conditions]
) -> str:
    used = decodings(conditions)
    parts = [str(config["decoding"]), used, _SENT.get(str(model.get("kind")), "") if "greedy" in used else ""]
    return ", ".join(part for part in parts if part)


def decodings(conditions: Mapping[str, Conditions]) -> str:
    """How the answers of tasks were drawn; of several ways that of most tasks first."""
    drawn: dict[str, list[str]] = {}
    for task, condition in conditions.items():
        if condition.decodings:
            drawn.setdefault(" and ".join(condition.decodings), []).append(task)
    return "; ".join(
        how if len(tasks) == len(conditions) else f"{how} for {_whose(tasks, len(conditions))}"
        for how, tasks in sorted(drawn.items(), key=lambda one: -len(one[1]))
    )


def _whose(tasks: Sequence[str], of: int) -> str:
    """Names of tasks; how many of all they are, where the names would fill a line."""
    return ", ".join(tasks) if len(tasks) <= NAMED else f"{len(tasks)} of {of} tasks"


def _understood(model: Mapping[str, Any]) -> str:
    """What the server makes of a request: values that take out its own, and what nothing takes out."""
    told = cast("Mapping[str, Any]", model.get("understood") or {})
    if not told:
        return ""
    sent = cast("Mapping[str, Any]", told.get("sent") or {})
    values = ", ".join(f"{name} {json.dumps(value)}" for name, value in sent.items())
    parts = [f"{told.get('server')}: {values}" if values else str(told.get("server"))]
    return "; ".join([*parts, *map(str, told.get("unset") or ())])


def _samples(config: Mapping[str, Any], chosen: Any) -> str:
    """The limit, where one holds for all tasks, the repeats and the shard."""
    limits = [task.get("limit") for task in cast("Mapping[str, Any]", chosen or {}).values()]
    parts: list[str] = []
    if limits and limits[0] and all(one == limits[0] for one in limits):
        count, rule = limits[0]["count"], limits[0]["rule"]
        parts.append(f"--limit {'first:' if rule == 'first' else ''}{count}")
    if config.get("repeats", 1) > 1:
        parts.append(f"--repeats {config['repeats']}")
    if config["shard"]:
        parts.append(f"--shard {config['shard'][0]}/{config['shard'][1]} of the plan")
    return ", ".join(parts)


def _judges(reader: Reader, config: Mapping[str, Any]) -> str:
    told = (cast("Mapping[str, Any] | None", reader.meta(f"judge/{task}")) for task in config["tasks"])
    return ", ".join(dict.fromkeys(str(one.get("told") or one["judge"]) for one in told if one))


def selection(chosen: Mapping[str, Any] | None, samples: int, repeats: int, clusters: str = "") -> str:
    """How many of a task's samples are in the run and how they were chosen; empty for all of them once."""
    if chosen is None:
        return f"{repeats} repeats of each sample" if repeats > 1 else ""
    times = f", {samples:,} {TIMES} {repeats}" if repeats > 1 else ""
    if samples >= chosen["of"]:
        return f"{samples:,} samples {TIMES} {repeats}" if times else ""
    limit = cast("Mapping[str, Any] | None", chosen["limit"])
    how = "chosen by id" if chosen["named"] else ""
    if limit:
        how = "the first ones" if limit["rule"] == "first" else f"spread over {clusters or 'the task'}"
    return f"{samples:,} of {chosen['of']:,} samples{f', {how}' if how else ''}{times}"
