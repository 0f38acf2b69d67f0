"""Holds a model's name to what its endpoints serve: `served` and `sha` of its entry in models.toml."""

from __future__ import annotations

from collections.abc import Sequence

from harness.catalog.models import Entry
from harness.errors import OtherModel
from harness.models import outside
from harness.models.pool.capabilities import Capabilities
from harness.models.pool.endpoint import Endpoint


def check_served(entry: Entry, endpoints: Sequence[Endpoint]) -> None:
    """Refuse endpoints that say they serve another model than the entry pins; silent ones pass.

    Raises:
        OtherModel: with what to give as `--model` instead.
    """
    for endpoint in endpoints:
        if wrong := wrongly_served(entry, endpoint.url, endpoint.capabilities):
            raise wrong


def wrongly_served(entry: Entry, url: str, able: Capabilities | None) -> OtherModel | None:
    """The refusal of an endpoint that serves another model than the entry pins."""
    if able is None or not able.model_id:
        return None
    listed = able.model_id.split(",")
    pinned = {name.lower() for name in (entry.served, *entry.aliases)}
    if entry.served and not pinned & {name.lower() for name in listed}:
        named = f"{listed[0]}={entry.name.rpartition('=')[2]}"
        return _refusal(entry, named, f"{url} serves {able.model_id}", entry.served)
    if entry.sha and able.model_sha and able.model_sha != entry.sha:
        base = entry.name.rpartition("=")[2]
        told = f"{url} serves {listed[0]} {able.model_sha}"
        return _refusal(entry, f"{listed[0]}-{able.model_sha[:8]}={base}", told, entry.sha)
    return None


def _refusal(entry: Entry, named: str, told: str, wanted: str) -> OtherModel:
    text = (
        f"{told}, but {entry.name} is {wanted}: its numbers would stand under another model's name. "
        f"Run it under its own name, with {entry.name.rpartition('=')[2]}'s template: --model"
    )
    return OtherModel(f"{outside.line(text)} {outside.line(named)}", selector=entry.name, named=named)
