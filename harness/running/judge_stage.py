"""Judging as a stage of a run: opens the judge and the judged tasks' contexts, and values what waits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from harness import data
from harness.catalog import registry
from harness.episode import Task
from harness.errors import MissingPart, UsageError
from harness.models.roles import EMBEDDER, RoleSession, RoleSpec, open_role, parse_role
from harness.running import readiness
from harness.running.contexts import context, stored_config, stored_split
from harness.running.judge_values import Judged, judge_run, lacks, waits_for
from harness.running.role_trial import try_role
from harness.running.verdicts import Judge, JudgeRequest
from harness.storage.store import Store
from harness.types import Context

log = logging.getLogger("harness.running.judge")


def judge_role(text: str) -> RoleSpec:
    """Read the value of `--judge`.

    Raises:
        UsageError: another form, or the model as its own judge.
    """
    role = parse_role(f"judge={text}")
    if role.selector == "self":
        raise UsageError("--judge self: a model does not judge itself; give NAME@URL")
    return role


def asked_role(request: JudgeRequest) -> RoleSpec:
    """Who is to value what waits.

    Raises:
        UsageError: nobody or two are named, or one that cannot.
    """
    if request.role is None and request.judge is not None:
        return judge_role(request.judge)
    if request.role is None or request.judge is not None:
        raise UsageError("give --judge NAME@URL, or --role embedder=NAME@URL for what waits for an embedder")
    role = parse_role(request.role)
    if role.role != EMBEDDER or role.selector in ("self", "oracle"):
        raise UsageError(f"--role {request.role}: write embedder=NAME@URL or embedder=st:FOLDER")
    return role


def judge_name(role: RoleSpec, info: Mapping[str, Any]) -> tuple[str, str]:
    """The judge by the id its server gives, which may differ from the typed name; and the same as text."""
    if role.selector.startswith("st:"):
        folder = Path(role.selector.removeprefix("st:")).expanduser().absolute().name
        return folder, folder
    identity = cast("Mapping[str, str]", info.get("identity") or {})
    served, typed = identity.get("served", ""), role.selector
    if not served or "," in served:
        return typed, f"{typed} (its server does not say which model it is)"
    name = f"{served}@{identity['sha'][:12]}" if identity.get("sha") else served
    return name, name if served == typed.partition("@")[0] else f"{name} (asked for as {typed})"


async def judge_stage(
    store: Store, request: JudgeRequest, work: Path, begun: Callable[[], None] = lambda: None
) -> Judged:
    """Judge everything in a run's store that waits, or that another judge valued.

    Args:
        store: the run's, open for writing.
        request: who judges and how often.
        work: an empty scratch folder.
        begun: called when everything that is needed is there, before anything is written.

    Raises:
        UsageError: nothing waits, or a part of a judged task is missing.
        MissingPart: the judge is to be asked, and no endpoint of it answers, or one answers wrongly.
    """
    role = asked_role(request)
    tasks = judged_tasks(store, request.mirror, work, role.role)
    async with open_role(role, concurrency=request.concurrency) as model:
        name, told = judge_name(role, model.info)
        judge = Judge(
            name,
            lambda key: RoleSession(role.role, model, key),
            request.k,
            request.concurrency,
            retry=request.retry,
        )
        if lacks(store, tasks, judge, role.role) and (wrong := await try_role(role, model)):
            raise MissingPart("\n  ".join([f"cannot judge, nothing was sent to the {role.role}:", *wrong]))
        begun()
        done = await judge_run(store, tasks, judge, told, role.role)
    log.info("%d calls to %s, %d verdicts were there", done.tally.asked, told, done.tally.stored)
    if done.tally.unread:
        log.error("%d verdicts cannot be read: judge RUN --retry asks for them again", done.tally.unread)
    if done.tally.stopped:
        log.error("stopped: %s", done.tally.stopped)
    return done


def judged_tasks(
    store: Store, mirror: str | None, work: Path, role: str = "judge"
) -> dict[str, tuple[Task, Context]]:
    """The run's tasks whose answers wait for or have a judge (or who else has `role`), with their contexts.

    Raises:
        UsageError: there is none, or its data is missing.
    """
    names = {a.item.task for a in store.attempts(final_only=True) if waits_for(a, role)}
    if not names:
        raise UsageError(f"nothing in this run waits for {'an' if role == EMBEDDER else 'a'} {role}")
    chosen: Mapping[str, Any] = store.meta("config")
    missing: list[str] = []
    tasks: dict[str, tuple[Task, Context]] = {}
    for name in sorted(names):
        task = registry.load(name)
        source = data.FIXTURE if chosen["tasks"][name]["source"] == "fixture" else mirror
        found = data.resolve(name, source, stored_split(task, chosen))
        cfg = stored_config(task, chosen, found, None if mirror == data.FIXTURE else mirror)
        missing += [f"{name}: {line}" for line in readiness.examine(task, cfg, found, stage="judge").missing]
        tasks[name] = (task, context(cfg, work / name))
    if missing:
        raise MissingPart("\n".join(missing))
    return tasks
