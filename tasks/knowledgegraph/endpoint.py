"""The SPARQL endpoint of a run: its address, and whether Freebase is behind it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.errors import HarnessError, MissingPart, UsageError
from harness.types import TaskConfig
from tasks.knowledgegraph.remote import JSON, read
from tasks.knowledgegraph.rows import known_edges, samples
from tasks.knowledgegraph.sparql import address as iri

if TYPE_CHECKING:
    import requests

ADDRESS = "HARNESS_SPARQL"
"""Environment variable with the endpoint's address."""

FIX = (
    f"start one (docker/freebase.yml) and export {ADDRESS}=http://HOST:PORT/sparql; "
    "or --set knowledgegraph.backend=synthetic (one small graph for each question, not comparable)"
)
FORM = "the SPARQL endpoint's address must look like http://HOST:PORT/sparql"
ASKED = 5
TIMEOUT_S = 10.0
LONGEST = 1 << 20
"""Bytes of an answer that a check reads."""


def address_of(cfg: TaskConfig) -> str:
    """The endpoint's address, which may be stored and shown.

    Raises:
        MissingPart: none is given.
        UsageError: it is no address, or one with a password or a query.
    """
    address: str = cfg.options.endpoint or os.environ.get(ADDRESS, "")
    if not address:
        raise MissingPart("has no address")
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise UsageError(FORM) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UsageError(FORM)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError("the SPARQL endpoint's address must hold no password, query or fragment")
    return address


def wrong(cfg: TaskConfig) -> str | None:
    """What is wrong with the endpoint, in one line; None when it has what Freebase must have."""
    try:
        address = address_of(cfg)
        edges = known_edges(samples(cfg.data, cfg.split), ASKED)
    except HarnessError as error:
        return str(error)
    lacks: list[str] = []
    for entity, relation in edges:
        values = _asked(address, f"SELECT ?x WHERE {{ {iri(entity)} {iri(relation)} ?x }} LIMIT 1")
        if isinstance(values, str):
            return values
        if not values:
            lacks.append(f"{entity} {relation}")
    if not lacks:
        return None
    if len(lacks) == len(edges):
        return f"not Freebase: it has none of {len(edges)} relations asked for, such as {lacks[0]}"
    return f"a partial dump: it lacks {len(lacks)} of {len(edges)} relations asked for, such as {lacks[0]}"


def _asked(address: str, query: str) -> list[str] | str:
    """The values of a query, or what is wrong with the endpoint."""
    import requests

    try:
        with requests.get(
            address, params={"query": query}, headers={"Accept": JSON}, timeout=TIMEOUT_S, stream=True
        ) as response:
            body = _body(response)
            status = response.status_code
    except (requests.RequestException, OSError) as error:
        return f"it does not answer ({type(error).__name__})"
    if status != 200:
        return f"it answers HTTP {status}"
    values = read(body)
    return "it answers, but not as a SPARQL endpoint does" if values is None else values


def _body(response: requests.Response) -> bytes:
    """The start of an answer, which may have no end."""
    body = bytearray()
    for part in response.iter_content(1 << 16):
        body += part
        if len(body) >= LONGEST:
            break
    return bytes(body)
