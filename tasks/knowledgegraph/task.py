"""Knowledge Graph as AgentTuning evaluates it: 150 questions over Freebase, F1 of the set of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from harness.episode import BaseTask, Oracle, World
from harness.needs import Need, notice
from harness.types import Context, Limits, Row, Sample, TaskConfig, TaskSpec, option
from tasks.knowledgegraph import rows, score


@dataclass(frozen=True, slots=True)
class KgOptions:
    """Where the graph is, and which of upstream's defects are mended."""

    backend: str = option(
        "auto",
        help="where the graph is; auto: the endpoint, on the fixture its own graph",
        choices=("auto", "remote", "embedded", "snapshot", "record", "synthetic"),
    )
    endpoint: str | None = option(None, help="address of the SPARQL endpoint, else $HARNESS_SPARQL")
    parallel: int = option(32, help="requests to the endpoint at once", ge=1, le=1000)
    graph: str | None = option(None, help="for embedded: a folder of Oxigraph, or an .nt or .ttl file")
    snapshot: str | None = option(None, help="file that record writes and snapshot replays")
    snapshot_sha256: str | None = option(None, help="refuse any other snapshot")
    fix_entity_regex: bool = option(False, True, help="ids g... and class names are entities too")
    type_check: bool = option(True, False, help="intersection refuses variables of different types")
    vocab_filter: str = option(
        "vocab",
        "roles",
        help="which relations are shown: upstream's vocabulary, or Freebase's whole schema",
        choices=("vocab", "roles"),
    )
    robust_args: bool = option(False, True, help="entity names may hold commas and parentheses")
    order: str = option(
        "sorted",
        help="order of listed relations (upstream's changes from process to process)",
        choices=("sorted", "seeded"),
    )
    oracle_ids: bool = option(False, help="the oracle writes ids, which no model is shown, for names")


class KnowledgeGraph(BaseTask):
    """Questions over Freebase."""

    spec = TaskSpec(
        name="knowledgegraph",
        version=1,
        suite="held-in",
        metric="f1",
        splits=rows.SPLITS,
        limits=Limits(turns=15, reset_s=120.0, step_s=300.0, episode_s=7200.0),
        history="segments-3500",
        expected_turns=8,
        # On the questions of std; on Freebase itself they could not be measured.
        ceiling={
            ("paper", "mirror, backend=synthetic"): 84.0,
            ("paper", "mirror, backend=synthetic, oracle_ids=true"): 90.0,
            ("fixed", "mirror, backend=synthetic"): 100 * 148 / 150,
            ("paper", "fixture"): 60.0,
            ("fixed", "fixture"): 100.0,
        },
        released={"temperature": 0.7},
        paper_n=150,
        shares=("em", "executability", "answered", "truncated"),
    )

    Options = KgOptions

    def needs(self, cfg: TaskConfig) -> Sequence[Need]:
        """What the graph needs, and the notice of the window."""
        from tasks.knowledgegraph.backend import backend_needs

        return [*backend_needs(cfg), notice(cfg)]

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        return rows.samples(cfg.data, cfg.split)

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        from tasks.knowledgegraph.world import open_world

        return open_world(ctx)

    def oracle(self, ctx: Context, sample: Sample) -> Oracle:
        from tasks.knowledgegraph.oracle import KgOracle

        return KgOracle(sample, ids=ctx.options.oracle_ids)

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        if not rows:
            return {}
        return score.aggregate(rows, {self.spec.metric: self.spec.headline(rows)})


TASK = KnowledgeGraph()
