"""Chooses the graph of a run from the options, checks that it is there, and opens it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError, MissingPart
from harness.needs import Need, package
from harness.types import Context, Sample, TaskConfig
from tasks._shared.recorded import Answers
from tasks._shared.web import RequestLimits, Web
from tasks.knowledgegraph import endpoint
from tasks.knowledgegraph.graph import Graph
from tasks.knowledgegraph.remote import EndpointGraph, check_declared, declare
from tasks.knowledgegraph.store import THREADS, StoreGraph, made_store, no_store, open_store
from tasks.knowledgegraph.synthetic import edges

FIXTURE_GRAPH = "graph.nt"
CLIENT = "SPARQL client"


@dataclass(frozen=True, slots=True)
class KgBackend:
    """The opened graph of a run.

    Attributes:
        graph_of: the graph in which a sample is played.
        comparable: why its scores are not comparable; empty when they are.
    """

    graph_of: Callable[[Sample], Graph]
    name: str
    facts: Mapping[str, str]
    comparable: str = ""


def chosen(cfg: TaskConfig) -> str:
    """The backend: as set, or else the fixture's own graph on the fixture and the endpoint on real data."""
    if cfg.options.backend != "auto":
        return cfg.options.backend
    return "embedded" if cfg.source == "fixture" else "remote"


def graph_path(cfg: TaskConfig) -> Path | None:
    """The embedded graph: the user's, or else the fixture's on the fixture."""
    if cfg.options.graph:
        return Path(cfg.options.graph).expanduser()
    return cfg.data / FIXTURE_GRAPH if cfg.source == "fixture" else None


def backend_needs(cfg: TaskConfig) -> list[Need]:
    """What the backend needs."""
    kind = chosen(cfg)
    if kind == "synthetic":
        return [package("pyoxigraph", extra="kg")]
    if kind == "embedded":
        fix = "set knowledgegraph.graph to a folder of Oxigraph or to an .nt or .ttl file"
        return [package("pyoxigraph", extra="kg"), Need("graph", lambda: _no_graph(cfg), fix)]
    fix = "set knowledgegraph.snapshot to the path of a file"
    if kind == "snapshot":
        return [Need("snapshot", lambda: _no_snapshot(cfg), f"{fix} that backend=record made")]
    needs = [
        package("stamina", extra="kg"),
        Need("SPARQL endpoint", lambda: endpoint.wrong(cfg), endpoint.FIX),
    ]
    if kind == "record":
        needs.append(Need("snapshot", lambda: None if cfg.options.snapshot else "no file is named", fix))
    return needs


def _no_graph(cfg: TaskConfig) -> str | None:
    path = graph_path(cfg)
    return "none is named" if path is None else no_store(path)


def _no_snapshot(cfg: TaskConfig) -> str | None:
    try:
        with _answers(cfg, "replay") as answers:
            asyncio.run(check_declared(answers, cfg.split))
    except HarnessError as error:
        return str(error)
    return None


@contextmanager
def _answers(cfg: TaskConfig, mode: str) -> Iterator[Answers]:
    """The recorded answers; a recording is sealed when the block ends.

    Raises:
        MissingPart: no file is named, or the snapshot is not the pinned one.
        DataError: the snapshot is corrupt or unfinished.
    """
    path, pinned = cfg.options.snapshot, cfg.options.snapshot_sha256
    answers = Answers(mode, Path(path).expanduser() if path else None)  # type: ignore[arg-type]
    try:
        digest = answers.describe().get("web_sha256", "")
        if pinned and digest and digest != pinned:
            raise MissingPart(f"the snapshot has sha256 {digest}, snapshot_sha256 asks for {pinned}")
        yield answers
    finally:
        answers.close()


@asynccontextmanager
async def open_backend(ctx: Context) -> AsyncIterator[KgBackend]:
    """Open the graph that the options name.

    Raises:
        MissingPart: a part is missing, with its fix.
        DataError: the graph or the snapshot cannot be used.
    """
    kind = chosen(ctx)
    async with AsyncExitStack() as stack:
        if kind in ("embedded", "synthetic"):
            threads = ThreadPoolExecutor(THREADS, thread_name_prefix="knowledgegraph")
            stack.callback(threads.shutdown, wait=False, cancel_futures=True)
            yield _embedded(ctx, threads) if kind == "embedded" else _synthetic(threads)
        elif kind == "snapshot":
            answers = stack.enter_context(_answers(ctx, "replay"))
            await check_declared(answers, ctx.split)
            yield _single(EndpointGraph(kind, answers, None))
        else:
            yield await _endpoint(ctx, kind, stack)


async def _endpoint(ctx: Context, kind: str, stack: AsyncExitStack) -> KgBackend:
    address = endpoint.address_of(ctx)
    answers = stack.enter_context(_answers(ctx, "record" if kind == "record" else "live"))
    if kind == "record":
        await declare(answers, ctx.split, address)
    limits = RequestLimits(
        rate=1000.0, burst=ctx.options.parallel, parallel=ctx.options.parallel, timeout_s=60.0, tries=3
    )
    web = await stack.enter_async_context(Web(contact=CLIENT, limits=limits))
    return _single(EndpointGraph(kind, answers, web, address))


def _single(graph: Graph, comparable: str = "") -> KgBackend:
    return KgBackend(lambda sample: graph, graph.name, graph.facts(), comparable)


def _embedded(ctx: Context, threads: ThreadPoolExecutor) -> KgBackend:
    path = graph_path(ctx)
    if path is None:
        raise MissingPart("backend=embedded needs a graph: set knowledgegraph.graph to its path")
    store, facts = open_store(path)
    return _single(StoreGraph("embedded", store, threads, facts), "embedded graph")


def _synthetic(threads: ThreadPoolExecutor) -> KgBackend:
    def made(sample: Sample) -> Graph:
        return StoreGraph(
            "synthetic", made_store(edges(sample.data["calls"], sample.data["answers"])), threads
        )

    return KgBackend(made, "synthetic", {}, "synthetic graph")
