"""Who answers: what a model's endpoints say they serve, with everything of the entry that moves a number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.catalog.models import Entry
from harness.models.pool.capabilities import Capabilities
from harness.models.pool.endpoint import Endpoint
from harness.models.untrusted import count, record, rows, short
from harness.templates import Template


def identity(
    entry: Entry, endpoints: Sequence[Endpoint], templates: Mapping[str, Template]
) -> dict[str, Any]:
    """The identity of a model, as plain data; what no endpoint tells is empty.

    Keys: `kind` (of the entry), `server` (the software, without its version), `served` (the id that the
    server gives), `sha` (its revision or hash), `root` (where the server has the weights from), `templates`
    (SHA-256 by suite), `stop` and `sanitize`; of a model that runs here, also its `dtype`.
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
        **({"dtype": _first(map(dtype, able))} if entry.kind == "hf" else {}),
    }


def dtype(able: Capabilities) -> str:
    """The type of a model's numbers, where the server tells it."""
    return short(able.info.get("model_dtype"))


def served_id(entry: Entry, able: Capabilities) -> str:
    """The id under which a server answers this entry's requests; of several it lists, the one asked for."""
    listed = able.model_id.split(",")
    return entry.wire_name if entry.wire_name in listed else able.model_id


def software(able: Capabilities) -> str:
    """The kind of server, whichever protocol it is spoken to in."""
    return "tgi" if able.version else able.server


def root(entry: Entry, able: Capabilities) -> str:
    """Where vLLM and its like say that they have the weights from."""
    return short(_listed(entry, able).get("root"))


def most_tokens(entry: Entry, able: Capabilities) -> int:
    """The tokens that a server takes in all, prompt and reply; 0 when it does not say.

    llama.cpp tells what one of its slots takes, not the context of the weights (`n_ctx_train`).
    """
    row = _listed(entry, able)
    told = (row.get("max_model_len"), row.get("context_length"), record(row.get("meta")).get("n_ctx"))
    return able.max_total or next(filter(None, map(count, told)), 0)


def _listed(entry: Entry, able: Capabilities) -> dict[str, Any]:
    """What an OpenAI server's list says of this entry's model; empty when it is not there."""
    wanted = served_id(entry, able)
    for row in map(record, rows(able.info.get("data"))):
        if short(row.get("id")) == wanted:
            return row
    return {}


def _first(values: Iterable[str]) -> str:
    return next((value for value in values if value), "")
