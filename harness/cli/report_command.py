"""`harness report`: the numbers of one or more runs."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from harness.cli.common_options import RESULTS
from harness.cli.grouping import grouped
from harness.cli.run_options import names
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.decisions.ledger import Night
    from harness.report.cost import Price
    from harness.report.html.figure import Figure
    from harness.report.render import Format
    from harness.report.result import Report
    from harness.report.rules import Normalize, Rules

NORMALIZE = "none, gpt4, agenttuning, or model:RUN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """Against what scores are divided, and how strictly, as typed."""

    normalize: str
    force: bool
    allow_partial: bool
    strict: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Nights:
    """Which nights of a ledger are shown in place of runs, as typed."""

    ledger: Path | None
    nights: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Which episodes are listed, and what else is told, as typed."""

    episodes: bool
    only: str | None
    by: tuple[str, ...]
    failures: bool
    leaks: bool
    endpoints: bool
    price: Price | None


def _price(_: click.Context, __: click.Parameter, value: str | None) -> Price | None:
    if value is None:
        return None
    from harness.report.cost import Price

    number = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)"
    found = re.fullmatch(f"{number},{number}", value.strip())
    if not found:
        raise click.BadParameter(f"{value!r}: write two prices of a million tokens, in and out, e.g. 0.2,0.6")
    return Price(float(found[1]), float(found[2]))


@click.command("report")
@click.argument("runs", nargs=-1)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "md", "csv", "json", "html", "latex"]),
    default="table",
    show_default=True,
)
@click.option("--normalize", default="none", show_default=True, help=NORMALIZE)
@click.option("--episodes", is_flag=True, help="List every episode.")
@click.option(
    "--only",
    type=click.Choice(["disagree"]),
    help="Of the episodes, those whose paper and fixed values differ.",
)
@click.option("--by", multiple=True, callback=names, help="Break every task down by this label, e.g. level.")
@click.option("--failures", is_flag=True, help="Count why episodes did not run to their end.")
@click.option("--leaks", is_flag=True, help="Split scores by whether the prompt held the question's answer.")
@click.option("--endpoints", is_flag=True, help="Add up every call by endpoint (reads all of them).")
@click.option(
    "--price", callback=_price, metavar="IN,OUT", help="Price of a million tokens in and out, e.g. 0.2,0.6."
)
@click.option("--force", is_flag=True, help="Show ratios between unlike scores, marked as approximate.")
@click.option("--allow-partial", is_flag=True, help="Take an Overall over the tasks that are there.")
@click.option("--strict", is_flag=True, help="Exit 3 when a suite is partial.")
@click.option(
    "--ledger",
    type=click.Path(path_type=Path),
    help="Show the newest nights of this ledger.",
)
@click.option("--nights", type=click.IntRange(1), default=14, show_default=True, help="How many of them.")
@RESULTS
@grouped(ratios=Ratios, listing=Listing, nights=Nights)
def command(
    runs: tuple[str, ...],
    form: Format,
    results: Path,
    *,
    ratios: Ratios,
    listing: Listing,
    nights: Nights,
) -> int:
    """Show RUNS (directories, names, copied stores or reference:NAME); the newest run when none is given.

    Exit code: 0 complete, 3 when a run is incomplete.
    """
    if nights.ledger is not None and not (runs and form == "html"):
        return _show_nights(nights.ledger, nights.nights, form)
    rules = replace(_rules(ratios, results), price=listing.price)
    reports = [_build(name, results, rules) for name in runs or (None,)]
    _tell(reports, runs, results, listing)
    partial = any(suite.partial for report in reports for suite in report.suites.values())
    if listing.only:
        from harness.report.disagreements import only_disagreeing

        reports = [only_disagreeing(report) for report in reports]
    more = [_nights(nights.ledger, nights.nights)] if nights.ledger is not None else []
    _print(reports, form, episodes=listing.episodes or bool(listing.only), more=more)
    return 3 if not all(report.complete for report in reports) or (ratios.strict and partial) else 0


def _tell(reports: Sequence[Report], runs: Sequence[str], results: Path, listing: Listing) -> None:
    """Add to the reports what was asked for beyond their numbers."""
    from harness.report import sections
    from harness.report.breakdown import break_down

    break_down(reports, listing.by)
    asked = {"failures": listing.failures, "leaks": listing.leaks, "endpoints": listing.endpoints}
    wanted = [name for name, given in asked.items() if given]
    for report, name in zip(reports, runs or (None,), strict=True):
        sections.add(report, name, results, wanted)


def _show_nights(path: Path, newest: int, form: Format) -> int:
    """Print a ledger's newest nights as text or HTML."""
    from harness.decisions import ledger_text
    from harness.report.html.page import figures_page

    if form not in ("table", "html"):
        raise UsageError(f"a ledger is shown as table or html, not as {form}: its file is JSON lines")
    if form == "html":
        click.echo(figures_page("Ledger", [_nights(path, newest)]))
        return 0
    for line in ledger_text.lines(_read_ledger(path), newest, datetime.now(UTC).date()):
        click.echo(line)
    return 0


def _nights(path: Path, newest: int) -> Figure:
    """A ledger's newest nights as a figure of a page."""
    from harness.decisions import ledger_page

    return ledger_page.figure(_read_ledger(path), newest, datetime.now(UTC).date())


def _read_ledger(path: Path) -> Sequence[Night]:
    from harness.decisions import ledger

    if not path.is_file():
        raise UsageError(
            f"there is no ledger {path}: harness gate RUN --baseline FILE --ledger {path} begins it"
        )
    return ledger.read(path)


def show_run(directory: Path) -> Report:
    """Print a finished run's table; returns what it shows."""
    from harness.report.build import build
    from harness.report.load import load

    report = build(load(str(directory)))
    _print([report], "table", episodes=False)
    return report


def _print(reports: Sequence[Report], form: Format, *, episodes: bool, more: Sequence[Figure] = ()) -> None:
    from harness.report.document import pieces
    from harness.report.render import render, show

    if form == "table" and sys.stdout.isatty():
        show(reports, episodes=episodes)
    elif form == "json":
        for piece in pieces(reports):
            click.echo(piece, nl=False)
        click.echo()
    else:
        click.echo(render(reports, form, episodes=episodes, more=more))


def _build(name: str | None, results: Path, rules: Rules) -> Report:
    from harness.report.build import build
    from harness.report.load import load

    return build(load(name, results), rules)


def _rules(ratios: Ratios, results: Path) -> Rules:
    from harness.report.rules import Rules

    kind, colon, other = ratios.normalize.partition(":")
    against = None
    if kind == "model" and colon and other:
        against = _build(other, results, Rules()).tasks
    elif ratios.normalize not in ("none", "gpt4", "agenttuning"):
        raise UsageError(f"--normalize {ratios.normalize}: choose {NORMALIZE}")
    return Rules(cast("Normalize", kind), against, force=ratios.force, allow_partial=ratios.allow_partial)
