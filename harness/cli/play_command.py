"""`harness play`: a person plays a sample in the terminal."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.common_options import MIRROR, PROFILE
from harness.cli.grouping import grouped
from harness.cli.one_sample import plan_of
from harness.cli.screen import echo
from harness.errors import StoreError, UsageError
from harness.models.own import Given
from harness.running.request import ModelChoice, Workload

if TYPE_CHECKING:
    from harness.cli.play_screen import PlayScreen
    from harness.running.plan import Plan
    from harness.storage.records import Attempt


@click.command("play")
@click.argument("task")
@click.argument("sample", required=False)
@click.option("--template", default="", help="Chat template of the prompts; llama2-chat otherwise.")
@click.option("--role", "roles", multiple=True, help="Auxiliary model as ROLE=NAME@URL, or ROLE=self.")
@click.option("--split", help="Split of the task; its own default otherwise.")
@click.option("--set", "settings", multiple=True, help="TASK.KEY=VALUE, as for run.")
@click.option("--seed", type=int, default=0, show_default=True)
@PROFILE
@MIRROR
@click.option(
    "--out", type=click.Path(path_type=Path), help="New file for the replies, a line for replay:FILE."
)
@grouped(workload=Workload)
def command(
    *,
    task: str,
    sample: str | None,
    template: str,
    roles: tuple[str, ...],
    workload: Workload,
    out: Path | None,
) -> int:
    """Play SAMPLE of TASK (its first when none is named) as a model would; /help says what can be typed."""
    from harness.cli.play_screen import PlayScreen

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("a person plays at a terminal, and this is none; harness run plays models")
    plan = plan_of(
        task, sample, workload, ModelChoice(model="oracle", roles=roles, given=Given(template=template))
    )
    path = _new_file(out, task, plan.tasks[0].samples[0].id)
    screen = PlayScreen()
    kept = False
    try:
        attempt = asyncio.run(_play(plan, screen))
        kept = _keep(path, attempt)
    except asyncio.CancelledError as error:  # the second Ctrl-C
        raise KeyboardInterrupt from error
    finally:
        if not kept:
            path.unlink(missing_ok=True)
    return _tell(attempt, path, screen)


async def _play(plan: Plan, screen: PlayScreen) -> Attempt:
    from harness.running.one_sample import play
    from harness.running.person import HELP
    from harness.running.signals import Signals

    screen.show(f"{plan.tasks[0].spec.name} {plan.tasks[0].samples[0].id}\n{HELP}")
    with Signals(screen.interrupt):
        return await play(plan, screen)


def _new_file(out: Path | None, task: str, sample: str) -> Path:
    """Make the file before a long play, so that its end finds a place to write to."""
    slug = re.sub(r"[^\w.-]+", "_", f"play-{task}-{sample}")[:100]
    names = [out] if out else [Path(f"{slug}{n}.jsonl") for n in ("", *(f"-{n}" for n in range(2, 1000)))]
    try:
        for path in names:
            try:
                path.touch(exist_ok=False)
                return path
            except FileExistsError:
                continue
    except OSError as error:
        raise UsageError(f"cannot write {names[0]}: {error.strerror}; give an --out that can be") from error
    raise UsageError(f"{names[-1]} exists: give another --out, or move it away")


def _keep(path: Path, attempt: Attempt) -> bool:
    """Save the replies as a replay line; of a play without any there is none."""
    from harness.export.replay import line
    from harness.storage.records import EpisodeKey

    if not attempt.calls:
        return False
    item = EpisodeKey(attempt.task, attempt.version, attempt.sample, attempt.repeat)
    found = line(item, attempt.calls, attempt.note)
    if attempt.outcome == "infra_error":
        found["ends"] = "stopped"
    text = json.dumps(found)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; the replies are: {text}") from error
    return True


def _tell(attempt: Attempt, path: Path, screen: PlayScreen) -> int:
    where = f"replies in {path}: harness run --model replay:{path} --task {attempt.task}"
    where += f" --samples {attempt.sample}"
    if attempt.outcome == "infra_error":
        said = attempt.error.strip().splitlines()[-1:] or ["it failed"]
        echo(f"\nended early ({said[0]})" + (f"; the {where}" if attempt.calls else ""))
        return 130 if screen.interrupted else 3
    value = "waits for a judge" if attempt.value is None else f"{attempt.value:g}"
    echo(f"--- {attempt.outcome}, value {value}" + (f" ({attempt.note})" if attempt.note else ""))
    for name, number in attempt.metrics.items():
        echo(f"{name}: {number:g}")
    for name, text in (("answer", attempt.answer), ("target", attempt.target)):
        if text:
            echo(f"{name}: {text}")
    echo(where)
    return 0
