"""Finds a model's chat template by its id on the Hugging Face hub: in the local cache, else by download."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Any

from harness.errors import DataError, MissingPart
from harness.templates.checkpoint import FILES, Checkpoint, read

_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


def is_id(name: str) -> bool:
    """Whether a name has the form ORGANISATION/MODEL."""
    return _ID.fullmatch(name) is not None


def from_hub(name: str) -> Checkpoint:
    """Read a model's template; only its small files are downloaded, and only when the cache lacks them.

    Raises:
        MissingPart: it is not in the cache and cannot be downloaded.
        DataError: the model has no template.
    """
    if (folder := _cached(name)) is not None:
        try:
            return read(folder)
        except DataError:  # perhaps a part of the model only; the hub has all of it
            pass
    return read(_downloaded(name))


def _cache() -> Path:
    """The folder that huggingface_hub keeps its downloads in."""
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if named:
        return Path(named).expanduser()
    home = os.environ.get("HF_HOME")
    shared = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return (Path(home) if home else shared).expanduser() / "hub"


def _cached(name: str) -> Path | None:
    """The snapshot of the main branch, when it was downloaded before."""
    model = _cache() / f"models--{name.replace('/', '--')}"
    try:
        commit = (model / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    folder = model / "snapshots" / commit
    return folder if re.fullmatch(r"[0-9a-f]{1,64}", commit) and folder.is_dir() else None


def _downloaded(name: str) -> Path:
    """Download the files that say how conversations are written; returns their folder."""
    try:
        hub: Any = importlib.import_module("huggingface_hub")
        errors: Any = importlib.import_module("huggingface_hub.errors")
    except ImportError:
        raise MissingPart(
            f"chat template {name} is no file or folder here and is not in {_cache()}; to download it: "
            "pip install 'agenttuning-harness[hf]', or give the model's folder"
        ) from None
    found: list[Path] = []
    for file in FILES:
        try:
            got = hub.hf_hub_download(
                name, file, cache_dir=_cache(), endpoint=os.environ.get("HF_ENDPOINT") or None
            )
        except errors.LocalEntryNotFoundError as error:  # no network, and none of it in the cache
            raise _unavailable(name, error) from error
        except errors.EntryNotFoundError:
            continue
        except Exception as error:  # network, access, a full disk: the package has a class for each
            raise _unavailable(name, error) from error
        found.append(Path(got))
    if not found:
        raise DataError(f"{name} has none of {', '.join(FILES)} on the hub: name a template that ships")
    return found[0].parent


def _unavailable(name: str, error: Exception) -> MissingPart:
    lines = str(error).strip().splitlines() or [""]
    return MissingPart(
        f"chat template {name} is no file or folder here, and the hub did not give it "
        f"({type(error).__name__}: {lines[0][:200]}); give the model's folder, or export HF_TOKEN "
        "if the model needs access"
    )
