"""`harness doctor`: what is missing for a task or a model, and how to fix it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from harness.catalog import registry
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.running.readiness import Finding


@click.command("doctor")
@click.argument("tasks", nargs=-1)
@click.option("--model", help="Check this model's endpoints.")
@click.option("--endpoint", "endpoints", multiple=True, help="Base URL of a replica (repeatable).")
@click.option("--client", type=click.Choice(["tgi", "text-generation"]), default="tgi", show_default=True)
@click.option("--mirror", envvar="HARNESS_MIRROR", help="Folder with the data, or 'fixture'.")
@click.option("--split", help="Only this split; all of them otherwise.")
@click.option("--profile", type=click.Choice(["paper", "fixed"]), default="paper", show_default=True)
@click.option("--set", "settings", multiple=True, help="TASK.KEY=VALUE, as for run.")
@click.option("--role", "roles", multiple=True, help="ROLE=NAME@URL, as for run.")
def command(
    tasks: tuple[str, ...],
    model: str | None,
    endpoints: tuple[str, ...],
    client: Any,
    mirror: str | None,
    split: str | None,
    profile: Any,
    settings: tuple[str, ...],
    roles: tuple[str, ...],
) -> int:
    """Check TASKS (all when neither a task nor a model is named) under the options of a run.

    Exit code: 0 when everything is there for the split that would run, 2 otherwise.
    """
    if endpoints and not model:
        raise UsageError("--endpoint goes with --model")
    good = True
    if model is not None:
        from harness.checks.models import doctor_model

        good &= _show(f"model {model}", doctor_model(model, endpoints, client=client))
    from harness.checks.tasks import doctor_task
    from harness.models.roles import parse_role
    from harness.running import selection

    names = tuple(map(registry.named, tasks)) or (() if model else registry.names())
    chosen = selection.settings(settings, names)
    bound = frozenset(parse_role(text).role for text in roles)
    for task in names:
        found = doctor_task(
            task, mirror=mirror, split=split, profile=profile, settings=chosen[task], roles=bound
        )
        verdicts = [_show(_title(task, name, found), findings) for name, findings in found.items()]
        good &= verdicts[0]
    return 0 if good else 2


def _title(task: str, split: str, found: Mapping[str, object]) -> str:
    return task if len(found) == 1 else f"{task} {split}"


def _show(title: str, findings: Sequence[Finding]) -> bool:
    good = all(finding.level != "fail" for finding in findings)
    click.echo(f"{title}: {'ready' if good else 'not ready'}")
    for finding in findings:
        click.echo(f"  {finding.level:<5}{finding.name}: {finding.state}")
        if finding.fix:
            click.echo(f"       fix: {finding.fix}")
    return good
