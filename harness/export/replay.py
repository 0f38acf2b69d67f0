"""Writes episodes as lines of a file for `replay:FILE`, which plays them again without a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.catalog import registry
from harness.export.conversations import cut_in_thought
from harness.models.clients.reasoning import CLOSE, OPEN, Parts, parts
from harness.running import selection
from harness.storage.private import OVERFLOW
from harness.storage.records import CallRecord, EpisodeKey
from harness.types import Profile


def line(
    item: EpisodeKey,
    calls: Iterable[CallRecord],
    note: str = "",
    *,
    verdicts: Mapping[tuple[str, int], str] | None = None,
    numbered: bool = False,
) -> dict[str, Any]:
    """One episode as `harness.models.local.answers.read_replay` reads it.

    A thought goes back to where the model wrote it, before its reply. How an episode ended is told where a
    repeated last reply would not end it again.

    Args:
        item: names the episode.
        calls: of the model under test and of the auxiliary roles.
        note: the attempt's.
        verdicts: of the judge, by key and number.
        numbered: the line stands for this repeat alone.
    """
    calls = list(calls)
    own = [call for call in calls if not call.role]
    found: dict[str, Any] = {
        "task": item.task,
        "sample": item.sample,
        "replies": [_with_thought(call) for call in own],
    }
    if numbered:
        found["repeat"] = item.repeat
    roles = {f"{call.role}/{call.key}": call.reply for call in calls if call.role}
    roles |= {f"judge/{key}/{k}": text for (key, k), text in (verdicts or {}).items()}
    if roles:
        found["roles"] = roles
    if note.startswith(OVERFLOW):
        found["ends"] = "context"
    elif own and cut_in_thought(own[-1]):
        found["ends"] = "thought"
    return found


def _with_thought(call: CallRecord) -> str:
    """The reply behind its thought, if a client that takes thoughts out reads the same two in it."""
    if cut_in_thought(call):
        return f"{OPEN}{call.thought}"
    if not call.thought:
        return call.reply
    whole = f"{OPEN}{call.thought}{CLOSE}\n\n{call.reply}"
    return whole if parts(whole) == Parts(call.thought, call.reply) else call.reply


def command(config: Mapping[str, Any], chosen: Mapping[str, Any], path: str) -> list[str]:
    """The command that plays a run's recorded replies again under the run's own settings.

    Args:
        config: the run's.
        chosen: which samples of each task were played, as stored.
        path: of the replay file.
    """
    words = ["harness", "run", "--model", f"replay:{path}", "--task", ",".join(config["tasks"])]
    sources = {facts["source"] for facts in config["tasks"].values()}
    words += ["--mirror", "fixture"] if sources == {"fixture"} else []
    usual = {"profile": "paper", "seed": 0, "repeats": 1, "split": None, "reasoning": "strip", "template": ""}
    for name, value in usual.items():
        if config.get(name, value) != value:
            words += [f"--{name}", str(config[name])]
    limits = [one["limit"] for one in chosen.values() if one.get("limit")]
    if limits:
        rule = "first:" if limits[0].get("rule") == "first" else ""
        words += ["--limit", f"{rule}{limits[0]['count']}"]
    for task, facts in config["tasks"].items():
        unset = _unset(task, facts["options"], config.get("profile", "paper"))
        changed = {key: value for key, value in facts["options"].items() if value != unset.get(key, value)}
        for key, value in changed.items():
            words += ["--set", f"{task}.{key}={value}"]
    for role in config.get("roles") or ():
        words += ["--role", f"{role.partition('=')[0]}=replay:{path}"]
    if config.get("judge"):
        words += ["--judge", f"replay:{path}"]
    return words


def _unset(task: str, options: Mapping[str, Any], profile: Profile) -> Mapping[str, Any]:
    """A task's options as they are unless a command sets them; of one that is not installed, as given."""
    if task not in registry.names():
        return options
    return selection.plain(selection.options(task, registry.load(task).Options, profile))
