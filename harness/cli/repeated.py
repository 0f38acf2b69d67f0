"""Refuses an option that is given twice and takes one value: Click would silently take the last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import click


def refuse_repeated(
    command: click.Command, name: str | None, args: Sequence[str], parent: click.Context
) -> None:
    """Look through what a command, and the command below it in a group, was called with.

    Raises:
        UsageError: an option that takes one value has several, or the arguments cannot be parsed.
    """
    ctx = click.Context(command, info_name=name, parent=parent, **command.context_settings)
    _, rest, order = command.make_parser(ctx).parse_args(list(args))
    if command.get_help_option(ctx) in order:
        return
    for param, times in Counter(order).items():
        if times > 1 and isinstance(param, click.Option) and _takes_one(param):
            raise click.UsageError(f"{param.opts[0]} is given {_often(times)}: keep one", ctx)
    if isinstance(command, click.Group) and rest:
        below = command.get_command(ctx, rest[0])
        if below is not None:
            refuse_repeated(below, rest[0], rest[1:], ctx)


def _takes_one(option: click.Option) -> bool:
    return not (option.multiple or option.is_flag or option.count)


def _often(times: int) -> str:
    return "twice" if times == 2 else f"{times} times"
