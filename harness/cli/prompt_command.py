"""`harness prompt`: what a model is sent first for a sample, without sending it."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Mapping
from typing import Any, Literal

import click

from harness.cli.common_options import MIRROR, PROFILE
from harness.cli.grouping import grouped
from harness.cli.model_options import ENDPOINTS, GIVEN, MODEL, SAMPLING, with_options
from harness.cli.one_sample import plan_of
from harness.cli.screen import echo
from harness.models.own import Given
from harness.running.request import ModelChoice, Workload
from harness.running.sampling import Sampling


@click.command("prompt")
@click.argument("task")
@click.argument("sample", required=False)
@with_options(MODEL, ENDPOINTS, *GIVEN, *SAMPLING)
@click.option("--role", "roles", multiple=True, help="Auxiliary model as ROLE=NAME@URL, or ROLE=self.")
@click.option("--split", help="Split of the task; its own default otherwise.")
@click.option("--set", "settings", multiple=True, help="TASK.KEY=VALUE, as for run.")
@click.option("--decoding", type=click.Choice(["protocol", "greedy", "released"]), default="protocol")
@click.option("--seed", type=int, default=0, show_default=True)
@PROFILE
@MIRROR
@click.option(
    "--as",
    "form",
    type=click.Choice(["json", "curl", "text"]),
    default="json",
    show_default=True,
    help="The whole request, a command that sends it, or the prompt alone.",
)
@grouped(given=Given, sampling=Sampling, workload=Workload, models=ModelChoice)
def command(
    *,
    task: str,
    sample: str | None,
    workload: Workload,
    models: ModelChoice,
    form: Literal["json", "curl", "text"],
) -> int:
    """Show the first request for SAMPLE of TASK (the first one when none is named); nothing is sent.

    The task's world is opened for this one sample and closed again.
    """
    from dataclasses import replace

    from harness.models.api import Options
    from harness.models.clients.recognise import recognise
    from harness.running import words
    from harness.running.one_sample import described, first_request

    # What is wrong in them is told at once, whether or not a server answers.
    words.read(replace(workload, tasks=(task,)), models)
    found = recognise(models.model, models.endpoints, models.given)
    models = replace(models, model=found.model, endpoints=found.endpoints, given=found.given)
    plan = plan_of(task, sample, workload, models)
    tested, request = asyncio.run(first_request(plan, Options()))
    told = described(plan, tested, request)
    if form == "text":
        echo(request.prompt)
    elif form == "json":
        echo("".join(map(_plain, json.dumps(told, indent=2, ensure_ascii=False))))
    else:
        echo(_curl(told, request.key_variable))
    return 0


def _plain(character: str) -> str:
    """A character of JSON, escaped as JSON does where a terminal may not show it."""
    return character if character.isprintable() or character == "\n" else json.dumps(character)[1:-1]


def _curl(told: Mapping[str, Any], variable: str) -> str:
    """A shell's command that sends the request; the API key stays in its variable."""
    words = ["curl", "-sS", told["url"]]
    for name, value in told["headers"].items():
        words += ["-H", f"{name}: {value}"]
    key = f' -H "Authorization: Bearer ${variable}"' if variable else ""
    return f"{shlex.join(words)}{key} --data-raw {shlex.quote(json.dumps(told['body']))}"
