"""The `harness` command: commands are imported only when called, so that `--help` is instant."""

from __future__ import annotations

import errno
import importlib
import sys
from typing import Any

import click

COMMANDS = {
    "run": "Run benchmarks against a model.",
    "prompt": "Show what a model is sent first for a sample, without sending it.",
    "report": "Show the numbers of one or more runs.",
    "compare": "Say how one run differs from another, task by task.",
    "contamination": "Say which questions of benchmarks stand in training files.",
    "gate": "Fail when a run is worse than its baseline.",
    "merge": "Put the shards of a run together.",
    "view": "Look at a run's episodes in the browser, or write them to a folder.",
    "watch": "Follow a run from another terminal.",
    "export": "Write a run to a file for other programs, also while it goes on.",
    "play": "Play a sample yourself, in the place of the model.",
    "list": "List tasks, suites, models or runs.",
    "models": "Add a model of your own, or show one with every key.",
    "doctor": "Say what is missing for a task or a model, and how to fix it.",
    "serve": "Serve a model of this machine by TGI's protocol.",
    "data": "List, pull, prepare and verify benchmark data.",
    "setup": "Build a task's system parts (root file system, images).",
    "judge": "Judge the answers of a run that wait for it.",
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and one line of help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"harness.cli.{cmd_name}_command")
        return module.command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not ctx.resilient_parsing:
            from harness.cli.repeated import refuse_repeated

            refuse_repeated(command, name, rest, ctx)
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="agenttuning-harness")
@click.option("-v", "--verbose", is_flag=True, help="Log what happens inside.")
@click.option("-q", "--quiet", is_flag=True, help="Only warnings, errors and results.")
def group(*, verbose: bool, quiet: bool) -> None:
    """How good is a model as an agent? One tool runs the benchmarks and says, with an error bar."""
    import logging

    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    logging.raiseExceptions = False  # a closed stderr takes no report of its own failure
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(plain_formatter())
    logging.captureWarnings(True)  # a library's warning may quote a server
    for noisy in ("asyncio", "aiohttp", "urllib3", "py4j", "textworld", "pooch", "numexpr"):
        logging.getLogger(noisy).setLevel(max(level, logging.WARNING))


def plain_formatter() -> Any:
    """Format records, tracebacks included, without control characters and API keys from outside."""
    import logging

    from harness.models import outside

    class Plain(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return outside.shown(super().format(record))

    return Plain("%(message)s")


def main() -> None:
    """Entry point: whatever goes wrong becomes one message and an exit code."""
    from harness.cli.failing import exit_code, hold_descriptors
    from harness.cli.own_package import find_own_tasks
    from harness.running.garbage import collect_less_often

    collect_less_often()
    closed = hold_descriptors()
    try:
        find_own_tasks()
        status: Any = group.main(standalone_mode=False)
        if closed:
            raise OSError(errno.EBADF, "closed")
        if sys.stdout is not None:
            sys.stdout.flush()
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        sys.exit(exit_code(error))
    sys.exit(status if isinstance(status, int) else 0)
