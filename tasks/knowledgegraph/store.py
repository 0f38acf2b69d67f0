"""Graphs in an embedded Oxigraph store: the fixture's, a user's own, or one made for a sample."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import DataError, InfraError, MissingPart
from tasks.knowledgegraph.graph import Found, found
from tasks.knowledgegraph.sparql import NAMESPACE, Query
from tasks.knowledgegraph.synthetic import Edge, is_entity

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import pyoxigraph

THREADS = 4
FORMATS = (".nt", ".ttl")


class StoreGraph:
    """Answers from a store, in threads, because the store answers in the thread that asks."""

    def __init__(
        self, name: str, store: pyoxigraph.Store, threads: Executor, facts: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._store, self._threads, self._facts = store, threads, dict(facts or {})

    async def select(self, query: Query) -> Found:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, query.text)

    def facts(self) -> Mapping[str, str]:
        return self._facts

    def _answer(self, text: str) -> Found:
        try:
            rows = self._store.query(text)
            return found([row[0].value for row in rows])  # type: ignore[union-attr]
        except (OSError, ValueError, SyntaxError) as error:
            raise InfraError(f"the embedded store cannot answer ({error}): {text[:300]}") from error


def open_store(path: Path) -> tuple[pyoxigraph.Store, Mapping[str, str]]:
    """Open a graph: a folder that Oxigraph made, or a file of N-Triples or Turtle, which is read into memory.

    Returns:
        The store, and what is known of its content, for the manifest.

    Raises:
        MissingPart: there is no such graph.
        DataError: it cannot be read.
    """
    import pyoxigraph

    if wrong := no_store(path):
        raise MissingPart(wrong)
    try:
        if path.is_dir():
            store = pyoxigraph.Store.read_only(str(path))
            return store, {"graph_triples": str(len(store))}
        store = pyoxigraph.Store()
        kind = pyoxigraph.RdfFormat.N_TRIPLES if path.suffix == ".nt" else pyoxigraph.RdfFormat.TURTLE
        store.bulk_load(path=str(path), format=kind)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path} cannot be read as a graph: {error}; make it again") from error
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return store, {"graph_triples": str(len(store)), "graph_sha256": digest}


def no_store(path: Path) -> str | None:
    """Why there is no graph at a path; None when there is one."""
    if path.is_dir() or (path.is_file() and path.suffix in FORMATS):
        return None
    return f"{path} is neither a folder of Oxigraph nor a file that ends in {' or '.join(FORMATS)}"


def made_store(edges: Iterable[Edge]) -> pyoxigraph.Store:
    """Build a store in memory from edges between Freebase's identifiers."""
    from pyoxigraph import Literal, NamedNode, Quad, Store

    def node(value: str | int) -> NamedNode | Literal:
        named = isinstance(value, str) and is_entity(value)
        return NamedNode(NAMESPACE + str(value)) if named else Literal(value)

    store = Store()
    store.extend(
        Quad(NamedNode(NAMESPACE + subject), NamedNode(NAMESPACE + relation), node(value))
        for subject, relation, value in edges
    )
    return store
