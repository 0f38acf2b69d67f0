"""Judging as a stage of a run: opens the judge and the judged tasks' contexts, and values what waits."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

from harness import data
from harness.catalog import registry
from harness.episode import Task
from harness.errors import MissingPart, UsageError
from harness.models.roles import RoleSession, RoleSpec, open_role, parse_role
from harness.running import readiness, selection
from harness.running.judge import Judged, judge_run
from harness.running.verdicts import Judge, JudgeRequest
from harness.storage.store import Store
from harness.types import Context, TaskConfig

log = logging.getLogger("harness.running.judge")


def judge_role(text: str) -> RoleSpec:
    """Read what stands after `--judge`.

    Raises:
        UsageError: another form, or the model as its own judge.
    """
    role = parse_role(f"judge={text}")
    if role.selector == "self":
        raise UsageError("--judge self: a model does not judge itself; give NAME@URL")
    return role


def judge_name(role: RoleSpec, info: Mapping[str, Any]) -> tuple[str, str]:
    """The judge by the id its server gives, which may be another than was typed; and the same in words."""
    identity = cast("Mapping[str, str]", info.get("identity") or {})
    served, typed = identity.get("served", ""), role.selector
    if not served or "," in served:
        return typed, f"{typed} (its server does not say which model it is)"
    name = f"{served}@{identity['sha'][:12]}" if identity.get("sha") else served
    return name, name if served == typed.partition("@")[0] else f"{name} (asked for as {typed})"


async def judge_stage(store: Store, request: JudgeRequest, work: Path) -> Judged:
    """Judge everything in a run's store that waits, or that another judge valued.

    Args:
        store: the run's, open for writing.
        request: who judges and how often.
        work: an empty scratch folder.

    Raises:
        UsageError: nothing waits, or a part of a judged task is missing.
    """
    role = judge_role(request.judge)
    tasks = judged_tasks(store, request.mirror, work)
    async with open_role(role, concurrency=request.concurrency) as model:
        name, told = judge_name(role, model.info)
        judge = Judge(
            name,
            lambda key: RoleSession("judge", model, key),
            request.k,
            request.concurrency,
            retry=request.retry,
        )
        done = await judge_run(store, tasks, judge, told)
    log.info("%d calls to %s, %d verdicts were there", done.tally.asked, told, done.tally.stored)
    if done.tally.unread:
        log.error("%d verdicts cannot be read: judge RUN --retry asks for them again", done.tally.unread)
    if done.tally.stopped:
        log.error("stopped: %s", done.tally.stopped)
    return done


def judged_tasks(store: Store, mirror: str | None, work: Path) -> dict[str, tuple[Task, Context]]:
    """The run's tasks whose answers wait for or have a judge, with their contexts.

    Raises:
        UsageError: there is none, or its data is missing.
    """
    names = {a.item.task for a in store.attempts(final_only=True) if a.pending is not None}
    if not names:
        raise UsageError("nothing in this run waits for a judge")
    chosen: Mapping[str, Any] = store.meta("config")
    missing: list[str] = []
    tasks: dict[str, tuple[Task, Context]] = {}
    for name in sorted(names):
        task = registry.load(name)
        source = data.FIXTURE if chosen["tasks"][name]["source"] == "fixture" else mirror
        found = data.resolve(name, source, _split(task, chosen))
        cfg = stored_config(task, chosen, found, None if mirror == data.FIXTURE else mirror)
        missing += [f"{name}: {line}" for line in readiness.examine(task, cfg, found, stage="judge").missing]
        tasks[name] = (task, context(cfg, work / name))
    if missing:
        raise MissingPart("\n".join(missing))
    return tasks


def stored_config(
    task: Task, chosen: Mapping[str, Any], found: data.Resolved, mirror: str | None
) -> TaskConfig:
    """The configuration a run's store holds for one of its tasks.

    Args:
        task: the installed task.
        chosen: the run's configuration, as stored.
        found: where the task's data is now.
        mirror: where files that several tasks use are looked for first.
    """
    name = task.spec.name
    return TaskConfig(
        found.path,
        selection.stored_options(name, task.Options, chosen["tasks"][name]["options"]),
        chosen["profile"],
        found.source,
        _split(task, chosen),
        frozenset(parse_role(text).role for text in chosen.get("roles") or ()),
        mirror,
    )


def _split(task: Task, chosen: Mapping[str, Any]) -> str:
    suites: str | None = chosen["tasks"][task.spec.name].get("split")
    return chosen.get("split") or suites or task.spec.splits[0]


def context(cfg: TaskConfig, work: Path) -> Context:
    """A task's configuration with a scratch folder, which is made."""
    work.mkdir(parents=True)
    return Context(**{field.name: getattr(cfg, field.name) for field in fields(cfg)}, work=work)
