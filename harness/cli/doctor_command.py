"""`harness doctor`: what is missing for a task or a model, and how to fix it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from harness import registry
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.models.doctor import Finding


@click.command("doctor")
@click.argument("tasks", nargs=-1)
@click.option("--model", help="Check this model's endpoints.")
@click.option("--endpoint", "endpoints", multiple=True, help="Base URL of a replica (repeatable).")
@click.option("--client", type=click.Choice(["tgi", "text-generation"]), default="tgi", show_default=True)
@click.option("--mirror", envvar="HARNESS_MIRROR", help="Folder with the data, or 'fixture'.")
def command(
    tasks: tuple[str, ...], model: str | None, endpoints: tuple[str, ...], client: Any, mirror: str | None
) -> int:
    """Check TASKS (all when neither a task nor a model is named).

    Exit code: 0 when everything is there, 2 otherwise.
    """
    if endpoints and not model:
        raise UsageError("--endpoint goes with --model")
    good = True
    if model is not None:
        from harness.models.doctor import doctor_model

        good &= _show(f"model {model}", doctor_model(model, endpoints, client=client))
    from harness.doctor import doctor_task

    for task in tasks or (() if model else registry.names()):
        good &= _show(task, doctor_task(task, mirror))
    return 0 if good else 2


def _show(title: str, findings: Sequence[Finding]) -> bool:
    good = all(finding.level != "fail" for finding in findings)
    click.echo(f"{title}: {'ready' if good else 'not ready'}")
    for finding in findings:
        click.echo(f"  {finding.level:<5}{finding.name}: {finding.state}")
        if finding.fix:
            click.echo(f"       fix: {finding.fix}")
    return good
