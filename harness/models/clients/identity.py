"""Who answers: what a model's endpoints say they serve, with everything of the entry that moves a number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.catalog.models import Entry
from harness.models.pool.capabilities import Capabilities
from harness.models.pool.endpoint import Endpoint
from harness.models.untrusted import record, rows, short
from harness.templates import Template


def identity(
    entry: Entry, endpoints: Sequence[Endpoint], templates: Mapping[str, Template]
) -> dict[str, Any]:
    """The identity of a model, as plain data; what no endpoint tells is empty.

    Keys: `kind` (of the entry), `server` (the software, without its version), `served` (the id that the
    server gives), `sha` (its revision or hash), `root` (where the server has the weights from), `templates`
    (SHA-256 by suite), `stop` and `sanitize`.
    """
    able = [e.capabilities for e in endpoints if e.capabilities is not None]
    return {
        "kind": entry.kind,
        "server": _first(software(one) for one in able),
        "served": _first(served_id(entry, one) for one in able),
        "sha": _first(one.model_sha for one in able),
        "root": _first(root(entry, one) for one in able),
        "templates": {suite or "default": one.sha256 for suite, one in templates.items()}
        or {"default": "the server's own"},
        "stop": list(entry.stop),
        "sanitize": entry.sanitize,
    }


def served_id(entry: Entry, able: Capabilities) -> str:
    """The id under which a server answers this entry's requests; of several it lists, the one asked for."""
    listed = able.model_id.split(",")
    return entry.wire_name if entry.wire_name in listed else able.model_id


def software(able: Capabilities) -> str:
    """The kind of server, whichever protocol it is spoken to in."""
    return "tgi" if able.version else able.server


def root(entry: Entry, able: Capabilities) -> str:
    """Where vLLM and its like say that they have the weights from."""
    wanted = served_id(entry, able)
    for row in rows(able.info.get("data")):
        if short(record(row).get("id")) == wanted:
            return short(record(row).get("root"))
    return ""


def _first(values: Iterable[str]) -> str:
    return next((value for value in values if value), "")
