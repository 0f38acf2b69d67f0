"""The command that plays an exported run again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.catalog import registry
from harness.running import selection
from harness.types import Profile


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
