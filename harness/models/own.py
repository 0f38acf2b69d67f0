"""A model without an entry in models.toml: what the command says of it, and what it needs."""

from __future__ import annotations

import difflib
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.catalog import models
from harness.catalog.models import Entry, Kind
from harness.errors import UsageError
from harness.templates import names, template
from harness.types import Message

API_KEY = "HARNESS_API_KEY"
"""Variable with the key of the model under test, where neither the command nor an entry names another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a command says of the model under test beside its name; empty fields are taken from its entry.

    Attributes:
        template: chat template instead of the entry's, for all tasks.
        api_key_env: environment variable with the bearer token.
        kind: the protocol that the server was found to speak; None where the model has an entry.
        wire_name: `model` field of its requests, as the server calls it.
    """

    template: str = ""
    api_key_env: str = ""
    kind: Kind | None = None
    wire_name: str = ""


def find(selector: str, given: Given) -> Entry:
    """Resolve the model under test, with what the command says of it over what its entry says.

    A name that no entry has needs a protocol (its `@KIND`, or the one that was found) and, unless that is
    `chat`, a template.

    Raises:
        UsageError: no such model, with the ways to go on; or `given` contradicts it.
    """
    entry, name, typed = models.known(selector)
    if entry is None:
        entry = _undescribed(selector, name, typed or given.kind, given)
    if entry.local and given.api_key_env:
        raise UsageError(f"{entry.name} runs inside the harness: leave out --api-key-env")
    if entry.kind == "chat" and given.template:
        told = "is spoken to as chat, where the server renders by its own template: leave out --template"
        raise UsageError(f"{entry.name} {told}")
    if not entry.local:
        entry = replace(entry, api_key_env=key_variable(given, entry))
    return replace(entry, template=given.template, templates={}) if given.template else entry


def key_variable(given: Given, entry: Entry | None = None) -> str:
    """The variable with the key of the model under test; empty when it has none."""
    named = given.api_key_env or (entry.api_key_env if entry else "")
    return named or (API_KEY if os.environ.get(API_KEY) else "")


def is_undescribed(selector: str) -> bool:
    """Whether nothing but its server can say what a name means."""
    entry, _, kind = models.known(selector)
    return entry is None and kind is None


def _undescribed(selector: str, name: str, kind: Kind | None, given: Given) -> Entry:
    if kind is None:
        raise UsageError(models.unknown(name))
    if kind == "chat":
        return Entry(selector, "chat", wire_name=given.wire_name or name)
    if not given.template:
        raise UsageError(without_template(name, f"{selector} is asked as {spoken(kind)}", chat=False))
    return Entry(
        selector, kind, wire_name=given.wire_name or name if kind == "openai" else "", template=given.template
    )


def spoken(kind: Kind) -> str:
    """The name of a protocol, as people type it."""
    return "completions" if kind == "openai" else kind


def rendered(name: str, turns: Sequence[Message]) -> str:
    """A conversation as a template renders it."""
    return template(name).render(turns)


def whole_path(name: str) -> str:
    """A template's name; where it means a path, the whole one, which holds in any folder."""
    try:
        path = Path(name).expanduser()
    except RuntimeError:  # `~NAME` of a user that does not exist here
        return name
    return str(path.resolve()) if name and name not in names() and path.exists() else name


def without_template(name: str, speaks: str, *, chat: bool) -> str:
    """Why a model cannot be asked without a template, with three ways to go on.

    Args:
        name: of the model.
        speaks: the address and the protocol, in words.
        chat: whether the server can render conversations itself.
    """
    shipped = ", ".join(one for one in names() if not one.endswith("-upstream"))
    typed = shlex.quote(name)
    third = (
        f"--model {shlex.quote(f'{name}@chat')}: the server renders by its own template"
        if chat
        else f"harness models add {typed} --template ... --endpoint ...: an entry that is found by its name"
    )
    near = difflib.get_close_matches(name.lower(), models.load(), n=1, cutoff=0.8)
    hint = f" (did you mean {near[0]}, which has one?)" if near else ""
    return (
        f"{speaks}, which takes finished prompts: the model needs a template, never guessed from its name"
        f"{hint}; one of\n"
        f"  --template NAME: one that ships ({shipped})\n"
        "  --template PATH: the model's folder or tokenizer_config.json, a .jinja file, or its hub id\n"
        f"  {third}"
    )
