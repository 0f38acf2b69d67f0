"""`harness models`: writes an entry for a model of one's own, and shows what is known of a model."""

from __future__ import annotations

import inspect
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import click

from harness.catalog import models as catalog
from harness.catalog.models import Entry
from harness.cli.grouping import grouped
from harness.cli.model_options import ENDPOINTS, GIVEN, with_options
from harness.cli.screen import echo
from harness.errors import UsageError
from harness.models import own
from harness.models.own import Given
from harness.types import Message

TURNS = (Message("user", "What is 2 + 2?"), Message("assistant", "It is 4."), Message("user", "And doubled?"))
"""The conversation of the example."""


@click.group("models")
def command() -> None:
    """Add a model of your own, or show one with every key."""


@command.command("show")
@click.argument("name")
@with_options(ENDPOINTS, *GIVEN)
@grouped(given=Given)
def show(name: str, endpoints: tuple[str, ...], given: Given) -> int:
    """Show what --model NAME means: each key with its value, origin and meaning, and an example.

    A name that no file has needs --endpoint, which is asked, or its kind (NAME@completions, NAME@chat).
    """
    entry, served_at = _resolved(name, endpoints, given)
    entry = replace(entry, endpoints=served_at or entry.endpoints)
    echo(f"[{_key(name)}]")
    for key, meaning in meanings().items():
        value = getattr(entry, key)
        shown = own.spoken(value) if key == "kind" else value
        echo(f"{key} = {_toml(shown)}  # {_origin(key, value, name, endpoints, given)}\n    {meaning}")
    echo(f"\n{_example(entry)}")
    return 0


@command.command("add")
@click.argument("name")
@with_options(ENDPOINTS, *GIVEN)
@click.option(
    "--kind",
    "protocol",
    type=click.Choice(["tgi", "completions", "chat"]),
    help="Its protocol; without it --endpoint is asked.",
)
@click.option("--hf", default="", help="Model id on the hub.")
@click.option("--context", type=click.IntRange(1), help="Tokens the model was made for.")
@click.option("--stop", multiple=True, help="Ends this model's turn (repeatable).")
@grouped(given=Given)
def add(name: str, endpoints: tuple[str, ...], given: Given, protocol: str | None, **values: Any) -> int:
    """Write an entry for NAME into the file that HARNESS_MODELS names, so that --model NAME suffices."""
    if (file := catalog.own_file()) is None:
        raise UsageError("export HARNESS_MODELS=PATH/models.toml first: the file to write, or to begin")
    if not endpoints and protocol is None:
        raise UsageError("give --endpoint URL, which is asked for its protocol, or --kind")
    fresh = not file.exists()
    try:
        if fresh:
            file.touch()
        table = _entry(name, file, endpoints, given, protocol) | {
            key: one for key, one in values.items() if one
        }
        text = f"[{_key(name)}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items())
        _append(file, text)
    except BaseException as error:
        if fresh:
            file.unlink(missing_ok=True)
        if isinstance(error, OSError | UnicodeError):
            raise UsageError(f"{file} cannot be written: {error}") from None
        raise
    echo(f"{text}written to {file}; harness models show {shlex.quote(name)} says what it means")
    return 0


def meanings() -> dict[str, str]:
    """The keys of an entry with what they mean, as its class documents them."""
    listed = (inspect.getdoc(Entry) or "").partition("Attributes:\n")[2]
    found = re.findall(r"^    ([a-z_]+): (.+(?:\n        .+)*)", listed, re.MULTILINE)
    return {key: re.sub(r"\s+", " ", text) for key, text in found if key != "name"}


def _resolved(name: str, endpoints: Sequence[str], given: Given) -> tuple[Entry, tuple[str, ...]]:
    from harness.models.clients.recognise import recognise

    found = recognise(name, endpoints, given, must_answer=True)
    return own.find(found.model, found.given), found.endpoints


def _entry(
    name: str, file: Path, endpoints: tuple[str, ...], given: Given, protocol: str | None
) -> dict[str, Any]:
    """The keys of a new entry.

    Raises:
        UsageError: the name means something already, or as `harness run` would refuse the model.
    """
    if catalog.known(name) != (None, name, None):
        where = catalog.written(name)[0]
        stays = f" and stays as it is in {where}" if where else ""
        raise UsageError(f"--model {name} has a meaning already{stays}: take another name, or edit {file}")
    given = replace(given, template=own.whole_path(given.template))
    entry, served_at = _resolved(f"{name}@{protocol}" if protocol else name, endpoints, given)
    table = {
        "kind": own.spoken(entry.kind),
        "wire_name": entry.wire_name,
        "template": entry.template,
        "endpoints": list(served_at),
        "api_key_env": given.api_key_env,
    }
    return {key: value for key, value in table.items() if value}


def _append(file: Path, text: str) -> None:
    """Add to a models file what it can still be read with."""
    before = file.read_text(encoding="utf-8")
    gap = "\n" * (bool(before) + (bool(before) and not before.endswith("\n")))
    catalog.parse(f"{before}{gap}{text}", str(file))
    with file.open("a", encoding="utf-8") as open_file:
        open_file.write(gap + text)


def _origin(key: str, value: object, name: str, endpoints: Sequence[str], given: Given) -> str:
    """Where a key's value is from."""
    if (key == "endpoints" and endpoints) or (key in ("template", "api_key_env") and getattr(given, key)):
        return "command line"
    if key == "api_key_env" and value == own.API_KEY:
        return "environment"
    described, base, kind = catalog.known(name)
    if key == "kind" and kind:
        return "command line"
    where, keys = catalog.written(base.rpartition("=")[2].partition("@")[0])
    if key in keys:
        return where
    if key in ("kind", "wire_name") and described is None and kind is None:
        return "asked of the server"
    return "default" if value == getattr(Entry(""), key) else "from the name"


def _example(entry: Entry) -> str:
    if entry.kind == "chat":
        return "two turns: rendered by the server, with its own template"
    if not entry.template:
        return "two turns: rendered by the template that comes with the model"
    others = "".join(f"; for {task}: {other}" for task, other in entry.templates.items())
    title = f"two turns, to which the server adds its BOS token (template {entry.template}{others}):"
    return f"{title}\n{own.rendered(entry.template, TURNS)}"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)


def _toml(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, Mapping):
        table = cast("Mapping[str, object]", value)
        return "{" + ", ".join(f"{_key(key)} = {_toml(one)}" for key, one in table.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, cast("Sequence[object]", value))) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
