"""Keeps a run to one model: what answers now must be what answered before."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from harness.errors import ModelChanged, UsageError
from harness.models.clients.answer import SYSTEM
from harness.storage.manifest import differing
from harness.storage.store import Attempt, Store

log = logging.getLogger(__name__)


def keep(store: Store, model: Mapping[str, Any], directory: Path) -> None:
    """Record the model of a run, or refuse to continue with another model.

    Args:
        store: the run's.
        model: what the opened model says of itself, as plain data, with its `identity`.
        directory: of the run, for messages.

    Raises:
        UsageError: episodes of another model are stored; the message lists the differing keys with both
            values.
    """
    refuse_other(store, model, directory)
    found, known = cast("dict[str, Any]", model["identity"]), recorded(store)
    if known and store.counts()[0]:
        _tell_unrecorded(store, known, found, directory)
    store.set_meta("identity", found)
    store.set_meta("model", model)


def refuse_other(store: Store, model: Mapping[str, Any], directory: Path) -> None:
    """Refuse to continue with another model; the arguments and the error are those of `keep`."""
    known = recorded(store)
    if known and store.counts()[0]:
        _refuse(known, cast("dict[str, Any]", model["identity"]), directory)


def recorded(store: Store) -> dict[str, Any]:
    """The identity that a run's store holds; of one made before identities were kept, what it tells."""
    if known := store.meta("identity"):
        return cast("dict[str, Any]", known)
    return of_older(cast("Mapping[str, Any]", store.meta("model") or {}))


def of_older(model: Mapping[str, Any]) -> dict[str, Any]:
    """What the record of a model says of its identity when it was written without one."""
    endpoints = cast("list[Mapping[str, Any]]", model.get("endpoints") or [])
    told: dict[str, Any] = {key: model[key] for key in ("kind", "stop", "sanitize") if key in model}
    for key, name in (("model_id", "served"), ("model_sha", "sha")):
        if values := [one[key] for one in endpoints if one.get(key)]:
            told[name] = values[0]
    templates = cast("Mapping[str, Mapping[str, str]]", model.get("templates") or {})
    if hashes := {suite: one["sha256"] for suite, one in templates.items() if "sha256" in one}:
        told["templates"] = hashes
    return told


def _refuse(known: Mapping[str, Any], found: Mapping[str, Any], directory: Path) -> None:
    both = known.keys() & found.keys()
    lines = differing({key: known[key] for key in both}, {key: found[key] for key in both})
    if not lines:
        return
    listed = "\n  ".join(lines)
    raise UsageError(
        f"{directory} was begun with another model, and one run has one model:\n  {listed}\n"
        "start that model again to go on, or give --new (or another --name) to start a run beside it; "
        "nothing was changed"
    )


def _tell_unrecorded(
    store: Store, known: Mapping[str, Any], found: Mapping[str, Any], directory: Path
) -> None:
    """Say which keys of the identity only one side has: they cannot be compared."""
    keys = sorted(known.keys() ^ found.keys())
    if keys:
        text = f"begun by another version of the harness, which did not compare: {', '.join(keys)}"
        log.warning("%s: %s", directory, text)
        store.set_meta("unrecorded", keys)


class Systems:
    """The systems behind an OpenAI-compatible server: known only once it answers.

    One that a run has not met in an earlier command is another model; several within one command are
    noted by the replies themselves.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known = frozenset(cast("list[str]", store.meta("systems") or []))
        self._met = set(self._known)

    def other(self, attempt: Attempt) -> str:
        """Why an attempt is not this run's model's; empty when it is."""
        notes = (note for call in attempt.calls if not call.role for note in call.facts.get("notes", ()))
        found = {note.removeprefix(SYSTEM) for note in map(str, notes) if note.startswith(SYSTEM)}
        if self._known and (new := found - self._known):
            return (
                f"system_fingerprint: {', '.join(sorted(self._known))} before, {', '.join(sorted(new))} now"
            )
        if found - self._met:
            self._met |= found
            self._store.set_meta("systems", sorted(self._met))
        return ""


def changed_model(attempt: Attempt) -> str:
    """Why an attempt failed, when it did because its endpoint serves another model now."""
    kind, _, why = attempt.error.partition(": ")
    return why if kind == ModelChanged.__name__ else ""
