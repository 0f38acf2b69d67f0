"""Options that say which model is tested and how it is sampled, for all commands that have them."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable
from typing import Any

import click

from harness.models.own import API_KEY

Decorator = Callable[[Any], Any]

OWN_KEYS: dict[str, str] = {
    "temperature": "--temperature",
    "top_p": "--top-p",
    "max_new_tokens": "--max-new-tokens",
    "max_tokens": "--max-new-tokens",
    "stop": "--stop",
    "seed": "--seed",
    **dict.fromkeys(("model", "prompt", "messages", "inputs", "stream"), "no option"),
}
"""Fields of requests that the harness writes itself, with the options that set them."""


def _variable(_: click.Context, __: click.Parameter, value: str) -> str:
    """Accept the name of a variable; a text that may be the key itself is not repeated."""
    named = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value, re.ASCII)
    if value and not (named and (value in os.environ or value.upper() == value)):
        raise click.BadParameter("name a variable that is set, such as MY_KEY; the key itself is never typed")
    return value


def _finite(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is no number; write one such as 0.7")
    return value


def _stops(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    if "" in value:
        raise click.BadParameter("an empty text would end every reply; leave it out")
    return value


def _extra(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in value:
        key, equals, told = text.partition("=")
        if not (key and equals):
            raise click.BadParameter(f"{text!r}: write KEY=VALUE, e.g. top_k=40")
        if key in OWN_KEYS:
            raise click.BadParameter(f"{key} is not the server's own: {OWN_KEYS[key]} sets it")
        if key in found:
            raise click.BadParameter(f"{key} is given twice")
        try:
            found[key] = json.loads(told, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):  # a plain word needs no quotes
            found[key] = told
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


MODEL = click.option(
    "--model",
    default="",
    help="Entry of models.toml, oracle, replay:FILE, hf:PATH, NAME@KIND (tgi, completions, chat), or any "
    "name for what --endpoint serves; without one, the server's own.",
)
ENDPOINTS = click.option("--endpoint", "endpoints", multiple=True, help="Base URL of a replica (repeatable).")
GIVEN: tuple[Decorator, ...] = (
    click.option(
        "--template",
        default="",
        help="Chat template: one that ships, a model folder, tokenizer_config.json, .jinja, or hub id.",
    ),
    click.option(
        "--api-key-env",
        default="",
        metavar="VAR",
        callback=_variable,
        help=f"Variable with the server's API key, sent as bearer token; {API_KEY} otherwise.",
    ),
)
SAMPLING: tuple[Decorator, ...] = (
    click.option(
        "--temperature",
        type=click.FloatRange(0, 100),
        callback=_finite,
        help="Instead of the tasks' own; 0 is greedy.",
    ),
    click.option(
        "--top-p",
        type=click.FloatRange(0, 1, min_open=True),
        callback=_finite,
        help="Instead of the tasks' own.",
    ),
    click.option(
        "--max-new-tokens", type=click.IntRange(1), help="Most tokens of a reply, instead of the tasks' own."
    ),
    click.option(
        "--stop",
        multiple=True,
        callback=_stops,
        help="Ends a reply, besides the tasks' own stop strings (repeatable).",
    ),
    click.option("--system", metavar="TEXT", help="System text instead of the tasks' own; '' for none."),
    click.option(
        "--extra",
        multiple=True,
        metavar="KEY=VALUE",
        callback=_extra,
        help="Further parameter of the server's (repeatable), e.g. top_k=40; VALUE may be JSON.",
    ),
)


def with_options(*options: Decorator) -> Decorator:
    """Decorate a command with options, which its help shows in this order."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate
