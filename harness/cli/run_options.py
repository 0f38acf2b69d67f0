"""The options of `harness run`, and how what was typed is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from harness.cli.common_options import CA, MIRROR, PROFILE
from harness.cli.model_options import ENDPOINTS, GIVEN, MODEL, SAMPLING, with_options
from harness.running.samples import Limit
from harness.storage.manifest import LONGEST_NAME


def names(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Accept repeated options and comma-separated lists alike."""
    return tuple(dict.fromkeys(name.strip() for part in value for name in part.split(",") if name.strip()))


def _ids(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not (ids := tuple(part.strip() for part in value.split(",") if part.strip())):
        raise click.BadParameter(f"{value!r} names no sample: write ids with commas between, or leave it out")
    return ids


def _folder(_: click.Context, __: click.Parameter, value: str | None) -> Path | None:
    if value == "":
        raise click.BadParameter("an empty path: write a folder, or leave it out")
    return Path(value) if value is not None else None


def _name(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and len(value) > LONGEST_NAME:
        raise click.BadParameter(
            f"{len(value)} characters; write {LONGEST_NAME} at most, as a run's folder is named by it"
        )
    return value


def _shard(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    index, slash, count = value.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise click.BadParameter(f"{value!r}: write i/n with 1 <= i <= n, e.g. 2/8")
    return int(index), int(count)


def _limit(_: click.Context, __: click.Parameter, value: str | None) -> Limit | None:
    if value is None:
        return None
    rule, colon, count = value.strip().rpartition(":")
    if not re.fullmatch(r"[0-9]{1,12}", count, re.ASCII) or not int(count) or (colon and rule != "first"):
        raise click.BadParameter(f"{value!r}: write N or first:N with N at least 1, e.g. 50 or first:50")
    return Limit(int(count), "first" if colon else "spread")


UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd]?)", value.strip(), re.ASCII)
    seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
    if not seconds:
        raise click.BadParameter(f"{value!r}: write a time above 0 such as 90, 90s, 30m, 5h or 1d")
    return seconds


OPTIONS: tuple[Callable[[Any], Any], ...] = (
    MODEL,
    click.option(
        "--suite", "suites", multiple=True, callback=names, help="Suite (repeatable; harness list suites)."
    ),
    click.option(
        "--task", "tasks", multiple=True, callback=names, help="Task (repeatable or comma-separated)."
    ),
    click.option("--split", help="Split of the tasks; each task's own default otherwise."),
    click.option(
        "--limit",
        callback=_limit,
        help="N samples of each task, spread over its labels; first:N takes the first N.",
    ),
    click.option("--samples", callback=_ids, help="Only these sample ids, comma-separated."),
    click.option(
        "--repeats", type=click.IntRange(1), default=1, show_default=True, help="Episodes per sample."
    ),
    ENDPOINTS,
    *GIVEN,
    CA,
    click.option("--role", "roles", multiple=True, help="Auxiliary model as ROLE=NAME@URL, or ROLE=self."),
    click.option("--judge", help="Judge inline with this model (NAME@URL)."),
    click.option("--out", callback=_folder, metavar="PATH", help="Run directory."),
    click.option("--name", callback=_name, help="Keep this run apart from others of the same configuration."),
    click.option("--new", is_flag=True, help="Start another run of the same configuration."),
    PROFILE,
    click.option("--decoding", type=click.Choice(["protocol", "greedy", "released"]), default="protocol"),
    *SAMPLING,
    click.option(
        "--choices",
        type=click.Choice(["G", "P", "T", "O", "F"]),
        help="Rank choices by this method (docs/protocols.md), not by the best that the endpoint has.",
    ),
    click.option(
        "--reasoning",
        type=click.Choice(["strip", "keep"]),
        default="strip",
        show_default=True,
        help="A thought before an answer (<think>...</think>): taken out and stored apart, or kept in.",
    ),
    click.option(
        "--set", "settings", multiple=True, help="TASK.KEY=VALUE (harness list tasks NAME shows them)."
    ),
    click.option("--concurrency", type=click.IntRange(1), help="Most requests in flight."),
    click.option(
        "--executor",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Play in this process, or on the nodes of a Ray cluster (docs/operations.md).",
    ),
    click.option(
        "--ray-address", envvar="RAY_ADDRESS", help="HOST:PORT of the cluster; without it on this machine."
    ),
    click.option(
        "--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes on each Ray node."
    ),
    click.option("--shard", callback=_shard, help="i/n: only the i-th of n parts of the plan."),
    click.option("--ready-only", is_flag=True, help="Run what is ready; the suite is then partial."),
    click.option("--retry", type=click.Choice(["infra"]), help="Retry only the infrastructure failures."),
    click.option(
        "--trace-private",
        is_flag=True,
        help="Also store prompts, replies and errors of tasks whose data must not be published.",
    ),
    click.option("--seed", type=int, default=0, show_default=True),
    MIRROR,
    click.option(
        "--request-deadline", "deadline_s", type=click.FloatRange(1), default=900.0, show_default=True
    ),
    click.option(
        "--time-limit",
        "time_limit_s",
        callback=_seconds,
        help="Start nothing later than this (90s, 30m, 5h, 1d); the same command resumes.",
    ),
)


run_options = with_options(*OPTIONS)
"""Decorates a command with the options of a run."""
