"""What `--model` means: the entries of models.toml and the syntax around them."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, cast

from harness.errors import DataError, MissingPart, UsageError

Kind = Literal["tgi", "openai", "chat", "hf", "oracle", "replay"]
_WIRE: Mapping[str, Kind] = {"tgi": "tgi", "openai": "openai", "completions": "openai", "chat": "chat"}
"""The protocols by the names that are typed for them."""
_KINDS: Mapping[str, Kind] = {**_WIRE, "hf": "hf"}
"""What an entry may be: a protocol, or weights that run in the harness's own process."""
_DTYPES = ("float32", "float16", "bfloat16")


@dataclass(frozen=True, slots=True)
class Entry:
    """A model as models.toml describes it.

    Attributes:
        name: what the user types and reports print.
        kind: protocol: `tgi`, `completions` (or `openai`; our template) or `chat` (the server's template).
        hf: model id on the hub.
        served: the id that its endpoints must give (or one of `aliases`); empty takes any.
        sha: the revision or hash that they must give, where they give one; empty takes any.
        aliases: other ids that servers give for the same weights.
        template: chat template: a shipped name, a `.jinja` file, a model's folder, or its id on the hub.
        templates: another template for single suites or tasks, by name.
        stop: strings that end this model's turn, added to each request's own.
        endpoints: where it is expected when the command names none.
        context: tokens the model was made for.
        api_key_env: environment variable with the bearer token, never the token.
        sanitize: put a space into control tokens in what the environment wrote.
        stream: use the streaming path, which ends a request at a stop string.
        wire_name: `model` field of the OpenAI protocol; empty sends `hf`, or the name.
        provenance: why this template, and what is not known.
        path: of kind `hf`: the folder with the model, or its id on the hub; empty takes `hf`.
        revision: of kind `hf`: branch, tag or commit on the hub; empty takes the newest.
        device: of kind `hf`: as torch names it; empty takes a GPU where there is one.
        dtype: of kind `hf`: float32, float16 or bfloat16; empty takes bfloat16 on a GPU, else float32.
        batch: of kind `hf`: most sequences at once; 0 takes what memory allows, at most 64.
    """

    name: str
    kind: Kind = "tgi"
    hf: str = ""
    served: str = ""
    sha: str = ""
    aliases: tuple[str, ...] = ()
    template: str = ""
    templates: Mapping[str, str] = field(default_factory=dict[str, str])
    stop: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    context: int = 4096
    api_key_env: str = ""
    sanitize: bool = False
    stream: bool = False
    wire_name: str = ""
    provenance: str = ""
    path: str = ""
    revision: str = ""
    device: str = ""
    dtype: str = ""
    batch: int = 0

    @property
    def local(self) -> bool:
        """Whether it runs inside the harness, so that no endpoint is given for it."""
        return self.kind not in _WIRE


def load(extra: Path | None = None) -> dict[str, Entry]:
    """Read the shipped models.toml and the user's (`extra`, else the file HARNESS_MODELS names)."""
    entries: dict[str, Entry] = {}
    for where, text in _files(extra):
        entries |= parse(text, where)
    return entries


def written(name: str) -> tuple[str, frozenset[str]]:
    """The file in which an entry stands, and the keys that it sets there; empty when it has none."""
    where, keys = "", frozenset[str]()
    for file, text in _files(None):
        if name in (tables := tomllib.loads(text)):
            where, keys = file, frozenset(_table(tables[name]))
    return where, keys


def own_file() -> Path | None:
    """The user's models file, if the environment names one."""
    named = os.environ.get("HARNESS_MODELS")
    return Path(named) if named else None


def _files(extra: Path | None) -> list[tuple[str, str]]:
    """The models files with their texts, the shipped one first."""
    shipped = (files("harness.catalog") / "models.toml").read_text(encoding="utf-8")
    found = [("the harness's own models.toml", shipped)]
    if (own := extra or own_file()) is not None:
        if own.is_dir():
            raise MissingPart(
                f"models file {own} is a folder; let HARNESS_MODELS name the file, as {own}/models.toml"
            )
        if not own.is_file():
            raise MissingPart(f"models file {own} is not there; correct HARNESS_MODELS")
        try:
            found.append((str(own), own.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise DataError(f"models file {own} cannot be read: {error}") from None
    return found


def find(selector: str, *, extra: Path | None = None) -> Entry:
    """Resolve what the user typed for a model.

    `NAME` is an entry; `NAME@completions` (or `@openai`), `NAME@chat`, `NAME@tgi` the same over another
    protocol (`@chat` also takes names no entry has); `SERVED=NAME` is a model that its server calls SERVED,
    asked in NAME's way (template, stop strings, protocol); `oracle`; `replay:FILE`; `hf:PATH_OR_ID`.

    Raises:
        UsageError: no such model; the message names the nearest.
    """
    entry, name, kind = known(selector, extra)
    if entry is None and kind == "chat":
        return Entry(selector, "chat", wire_name=name)
    if entry is None:
        raise UsageError(unknown(name, extra))
    return entry


def known(selector: str, extra: Path | None = None) -> tuple[Entry | None, str, Kind | None]:
    """The entry that a selector means, if there is one, with its name and the kind that is typed behind it.

    Raises:
        UsageError: there is no such kind, or no file behind `replay:`.
    """
    if selector == "oracle":
        return Entry("oracle", "oracle", template="llama2-chat", context=1 << 20), selector, None
    prefix, colon, rest = selector.partition(":")
    if colon and prefix == "replay":
        if not rest:
            raise UsageError("replay: names no file; write replay:FILE")
        return Entry(selector, "replay", template="llama2-chat", context=1 << 20, path=rest), selector, None
    if colon and prefix == "hf":
        return Entry(selector, "hf", hf=rest, path=rest), selector, None
    entries = load(extra)
    served, equals, like = selector.rpartition("=")
    if equals and served and like.partition("@")[0] in entries:
        return _like(served, find(like, extra=extra), selector), selector, None
    name, at, kind = selector.rpartition("@")
    if not at:
        return entries.get(selector), selector, None
    if kind not in _WIRE:
        raise UsageError(f"unknown model kind {kind!r} in {selector!r}; kinds: {', '.join(_WIRE)}")
    entry = entries.get(name)
    return entry and _with(entry, name=selector, kind=_WIRE[kind]), name, _WIRE[kind]


def _like(served: str, entry: Entry, selector: str) -> Entry:
    """A model that its server calls `served`, asked as another entry is."""
    return replace(
        entry,
        name=selector,
        hf=served,
        served="" if entry.kind == "chat" else served,
        sha="",
        aliases=(),
        wire_name=served if entry.kind in ("openai", "chat") else "",
        provenance=f"asked in the way of {selector.rpartition('=')[2]}",
    )


def unknown(name: str, extra: Path | None = None) -> str:
    """Why a name means no model, with the nearest ones."""
    entries = load(extra)
    near = difflib.get_close_matches(name.lower(), entries, n=3, cutoff=0.6)
    hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(entries)}."
    return (
        f"unknown model {name!r}; {hint} Others: oracle, replay:FILE, hf:PATH, NAME@chat, "
        "SERVED=NAME (another model, asked as NAME is), any NAME with --endpoint URL --template T, "
        "or an entry with its template in a file named by HARNESS_MODELS (harness models add)"
    )


def _with(entry: Entry, **changes: Any) -> Entry:
    old = {f.name: getattr(entry, f.name) for f in fields(entry)}
    if changes.get("kind") != entry.kind:
        old["wire_name"] = entry.wire_name or entry.hf or entry.name
    return Entry(**(old | changes))


def parse(text: str, where: str) -> dict[str, Entry]:
    """Read the text of a models file; `where` names it in messages.

    Raises:
        DataError: it is no TOML, or an entry in it is wrong.
    """
    import msgspec

    try:
        tables: dict[str, Any] = tomllib.loads(text)
    except RecursionError:
        raise DataError(f"{where}: nested too deeply to be read as TOML; correct the file") from None
    except ValueError as error:  # also numbers of thousands of digits
        raise DataError(f"{where}: not readable as TOML; correct the file: {error}") from None
    known = {f.name for f in fields(Entry)} - {"name"}
    entries: dict[str, Entry] = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise DataError(
                f"{where}: {name} is a value, and an entry is a table: write it as [NAME] with its keys below"
            )
        if wrong := set(_table(table)) - known:
            keys = ", ".join(sorted(wrong))
            raise DataError(f"{where}: [{name}] has unknown keys ({keys}); known: {', '.join(sorted(known))}")
        kind = _table(table).get("kind", "tgi")
        if not isinstance(kind, str) or kind not in _KINDS:
            raise DataError(f"{where}: [{name}] kind must be one of {', '.join(_KINDS)}")
        try:
            entry = msgspec.convert(_table(table) | {"name": name, "kind": _KINDS[kind]}, Entry)
        except msgspec.ValidationError as error:
            raise DataError(f"{where}: [{name}]: {error}") from error
        if entry.kind in ("openai", "chat") and not entry.wire_name:
            entry = replace(entry, wire_name=entry.hf or name)
        if entry.kind == "hf":
            entry = replace(entry, path=entry.path or entry.hf)
        if problem := _problem(entry):
            raise DataError(f"{where}: [{name}] {problem}")
        try:
            entries[name] = _located(entry, Path(where).parent)
        except RuntimeError as error:  # `~NAME` of a user that does not exist here
            raise DataError(f"{where}: [{name}] its path cannot be used: {error}") from None
    return entries


def _problem(entry: Entry) -> str:
    """What is wrong with an entry whose values have the right types; empty when nothing is."""
    if entry.kind != "hf":
        here = [key for key in ("path", "revision", "device", "dtype", "batch") if getattr(entry, key)]
        if here:
            return f'has {", ".join(here)}, which only a model that runs here has: kind = "hf"'
        bare = entry.kind != "chat" and not entry.template
        return "needs a template; it is never guessed from a name" if bare else ""
    if not entry.path:
        return "needs path, the folder with the model, or hf, its id on the hub"
    if entry.dtype not in ("", *_DTYPES):
        return f"dtype must be one of {', '.join(_DTYPES)}"
    if entry.batch < 0:
        return "batch must be at least 1, or 0 for what memory allows"
    return "runs inside the harness: take out endpoints" if entry.endpoints else ""


def _located(entry: Entry, folder: Path) -> Entry:
    """An entry whose templates' paths, relative to the folder of its file, hold anywhere."""

    def anywhere(template: str) -> str:
        path = folder / Path(template).expanduser()
        written = template.endswith((".jinja", ".json")) or template.startswith((".", "/", "~"))
        return str(path.absolute()) if written or ("/" in template and path.is_dir()) else template

    others = {suite: anywhere(name) for suite, name in entry.templates.items()}
    entry = replace(entry, template=anywhere(entry.template), templates=others)
    if entry.path:
        path = folder / Path(entry.path).expanduser()
        typed = entry.path.startswith((".", "/", "~"))  # anything else that is no folder is a name on the hub
        entry = replace(entry, path=str(path.absolute()) if typed or path.is_dir() else entry.path)
    return entry


def _table(value: Any) -> dict[str, Any]:
    """A TOML table, or an empty one for anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
