"""Reads the chat template and the special tokens that a model's folder holds, as transformers reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from harness.errors import DataError, MissingPart
from harness.templates.sandbox import TOKENS

JINJA, CONFIG, LEGACY, TOKEN_MAP = (
    "chat_template.jinja",
    "tokenizer_config.json",
    "chat_template.json",
    "special_tokens_map.json",
)
FILES = (JINJA, CONFIG, LEGACY, TOKEN_MAP)
"""Everything that is read of a model."""

_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What decides how a model's conversations are written.

    Attributes:
        source: the Jinja text.
        tokens: special tokens by the names under which the template reads them.
        tokens_known: whether a file told them; those left out are then ones that the model has not.
        writes_bos: the tokenizer adds no BOS token, so that the template's own must stay.
    """

    source: str
    tokens: tuple[tuple[str, str], ...] = ()
    tokens_known: bool = True
    writes_bos: bool = False


def read(path: Path) -> Checkpoint:
    """Read a model's folder, its `tokenizer_config.json`, or a `.jinja` file with the files beside it.

    Raises:
        MissingPart: no such file.
        DataError: it cannot be read, or holds no template.
    """
    if path.is_dir():
        return _checkpoint(_of_folder(path), path)
    if not path.is_file():
        raise MissingPart(
            f"chat template {path} is not there; give a .jinja file, the model's folder or its {CONFIG}"
        )
    if path.suffix == ".jinja":
        return _checkpoint(_text(path), path.parent)
    own = _json(path)
    if (source := _chosen(own, path)) is None:  # the tokens, too, are the folder's: config.json has none
        return _checkpoint(_of_folder(path.parent), path.parent)
    return _checkpoint(source, path.parent, own)


def _of_folder(folder: Path) -> str:
    """The template of a folder, from the first of its files that has one.

    Raises:
        DataError: none has.
    """
    if (folder / JINJA).is_file():
        return _text(folder / JINJA)
    for name in (CONFIG, LEGACY):
        if (folder / name).is_file() and (source := _chosen(_json(folder / name), folder / name)) is not None:
            return source
    raise DataError(
        f"{folder} has no chat_template (looked for {JINJA}, {CONFIG}, {LEGACY}): "
        "name a template that ships, or none for a model without one"
    )


def _checkpoint(source: str, folder: Path, config: Mapping[str, Any] | None = None) -> Checkpoint:
    """Join a template with the tokens of the files beside it."""
    known = config is not None
    if config is None:
        known = (folder / CONFIG).is_file()
        config = _json(folder / CONFIG) if known else {}
    told = dict(config)
    if (folder / TOKEN_MAP).is_file():
        listed = {key: value for key, value in _json(folder / TOKEN_MAP).items() if value}
        # A configuration that lists its added tokens is newer than the map, and says it all.
        told = listed | told if "added_tokens_decoder" in told else told | listed
        known = True
    extra = told.get("extra_special_tokens")
    named = {key: told.get(key) for key in TOKENS}
    if isinstance(extra, dict):
        named |= cast("dict[str, Any]", extra)
    tokens = tuple((key, text) for key, value in named.items() if (text := _token(value)))
    return Checkpoint(source, tokens, known, writes_bos=told.get("add_bos_token") is False)


def _chosen(config: Mapping[str, Any], path: Path) -> str | None:
    """A configuration's template; of several named ones the one called default.

    Raises:
        DataError: there are several, and none is called so.
    """
    found: Any = config.get("chat_template")
    if isinstance(found, list):
        rows = cast("list[Any]", found)
        entries = [cast("dict[str, Any]", row) for row in rows if isinstance(row, dict)]
        found = {str(entry.get("name")): entry.get("template") for entry in entries}
    if isinstance(found, dict):
        named = cast("dict[str, Any]", found)
        if "default" not in named:
            raise DataError(
                f"{path} has several chat templates ({', '.join(named)}) and none is called default: "
                "write the right one to a .jinja file beside it, and give that"
            )
        found = named["default"]
    return found if isinstance(found, str) else None


def _token(value: Any) -> str:
    if isinstance(value, dict):  # an AddedToken written out
        value = cast("dict[str, Any]", value).get("content")
    return value if isinstance(value, str) else ""


def _json(path: Path) -> Mapping[str, Any]:
    try:
        found: Any = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, error) from error
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _BYTES:
            raise DataError(f"chat template {path} has over {_BYTES >> 20} MiB: that is another file")
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    named = path.suffix in (".json", ".jinja")
    fix = "get it again" if named else f"give a .jinja file or the model's {CONFIG}"
    return DataError(f"chat template {path} is not JSON or not readable, {fix}: {error}")
