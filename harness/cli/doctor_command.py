"""`harness doctor`: what is missing for a task or a model, and how to fix it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import click

from harness.catalog import registry
from harness.cli.common_options import CA, MIRROR, PROFILE
from harness.cli.grouping import grouped
from harness.cli.model_options import ENDPOINTS, GIVEN, MODEL, with_options
from harness.cli.screen import echo
from harness.models.own import Given, find
from harness.types import Profile

if TYPE_CHECKING:
    from harness.running.readiness import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedModel:
    """The model whose endpoints are checked."""

    model: str
    endpoints: tuple[str, ...]
    given: Given
    client: Literal["tgi", "text-generation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOptions:
    """The options of a run under which tasks are checked, as typed."""

    mirror: str | None
    split: str | None
    profile: Profile
    settings: tuple[str, ...]
    roles: tuple[str, ...]


@click.command("doctor")
@click.argument("tasks", nargs=-1)
@with_options(MODEL, ENDPOINTS, *GIVEN)
@click.option("--client", type=click.Choice(["tgi", "text-generation"]), default="tgi", show_default=True)
@CA
@MIRROR
@click.option("--split", help="Only this split; all of them otherwise.")
@PROFILE
@click.option("--set", "settings", multiple=True, help="TASK.KEY=VALUE, as for run.")
@click.option("--role", "roles", multiple=True, help="ROLE=NAME@URL, as for run.")
@grouped(given=Given, models=CheckedModel, choices=DoctorOptions)
def command(tasks: tuple[str, ...], models: CheckedModel, choices: DoctorOptions) -> int:
    """Check TASKS (all when neither a task nor a model is named) under the options of a run.

    Exit code: 0 when everything is there for the split that would run, 2 otherwise.
    """
    checked = bool(models.model or models.endpoints)
    good, names = True, tuple(map(registry.named, tasks)) or (() if checked else registry.names())
    _read_words(names, choices)
    if checked:
        from harness.checks.models import doctor_model
        from harness.models.clients.recognise import recognise

        found = recognise(models.model, models.endpoints, models.given)
        findings = doctor_model(
            find(found.model, found.given),
            found.endpoints,
            models.client,
            profile=choices.profile,
            ranked=_ranked(names, choices),
        )
        good &= _show(f"model {found.model}", findings)
    return 0 if all([good, *_checked(names, choices)]) else 2


def _read_words(names: Sequence[str], options: DoctorOptions) -> None:
    """Refuse unknown names and wrong values before a server is asked."""
    from harness.running import selection, words
    from harness.running.request import ModelChoice, Workload

    if not names:
        selection.settings(options.settings, names)
        return
    work = Workload(
        tasks=tuple(names), split=options.split, settings=options.settings, profile=options.profile
    )
    words.read(work, ModelChoice(model="", roles=options.roles))


def _ranked(names: Sequence[str], options: DoctorOptions) -> dict[str, str]:
    """The named tasks that have a model rank choices, with how to do without."""
    from harness.running import readiness, selection

    settings = selection.settings(options.settings, names)
    found: dict[str, str] = {}
    for task in names:
        chosen = readiness.TaskChoices(
            settings=settings[task], profile=options.profile, mirror=options.mirror, split=options.split
        )
        ready = readiness.check(task, chosen)
        if fix := readiness.ranking(ready.task, ready.cfg):
            found[task] = fix
    return found


def _checked(names: Sequence[str], options: DoctorOptions) -> Iterator[bool]:
    """Check and show tasks one by one; whether each is ready for the split that would run."""
    from harness.checks.tasks import doctor_task
    from harness.models.roles import parse_role
    from harness.running import selection

    settings = selection.settings(options.settings, names)
    roles = frozenset(parse_role(text).role for text in options.roles)
    for task in names:
        found = doctor_task(
            task,
            mirror=options.mirror,
            split=options.split,
            profile=options.profile,
            settings=settings[task],
            roles=roles,
        )
        ready = [_show(_title(task, name, found), findings) for name, findings in found.items()]
        yield ready[0]


def _title(task: str, split: str, found: Mapping[str, object]) -> str:
    return task if len(found) == 1 else f"{task} {split}"


def _show(title: str, findings: Sequence[Finding]) -> bool:
    good = all(finding.good for finding in findings)
    echo(f"{title}: {'ready' if good else 'not ready'}")
    for finding in findings:
        echo(f"  {finding.level:<5}{finding.name}: {finding.state}")
        if finding.fix:
            echo(f"       fix: {finding.fix}")
    return good
