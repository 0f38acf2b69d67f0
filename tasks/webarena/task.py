"""WebArena as AgentTuning ran it: 812 tasks on seven sites, one prompt per step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from harness.episode import BaseTask, Oracle
from harness.needs import Need, core_data, drawn_replies, package
from harness.tokens import CL100K_FILE
from harness.types import (
    Context,
    JudgeAsk,
    Limits,
    Pending,
    Row,
    Sample,
    Score,
    TaskConfig,
    TaskSpec,
    Verdict,
)
from tasks._shared.browser import browser_need
from tasks.webarena import rows, score
from tasks.webarena.options import PUBLISHED_BY, WebArenaOptions

if TYPE_CHECKING:
    from tasks.webarena.world import ArenaWorld

OWN_SPLIT = "testsites"

FEW = ("0", "5", "8", "10", "14", "17", "20", "22")
"""Own tasks that the fixture's first split has: each site, evaluator and most actions are among them."""


SPEC = TaskSpec(
    name="webarena",
    version=1,
    suite="held-out",
    metric=score.METRIC,
    splits=("test", OWN_SPLIT),
    limits=Limits(turns=100, reset_s=180.0, step_s=150.0, episode_s=1800.0),
    roles=("judge",),
    expected_turns=12,
    ceiling={("paper", "fixture"): 100.0, ("fixed", "fixture"): 100.0},
    paper_n=812,
    paper_judge=PUBLISHED_BY,
    view=("action", "url", "ended"),
    shares=("strict",),
)


class WebArena(BaseTask):
    """Tasks on websites that keep state."""

    spec = SPEC
    Options = WebArenaOptions

    def needs(self, cfg: TaskConfig) -> Sequence[Need]:
        """Playwright and a browser; for the real sites each of them, and the vocabulary that cuts pages."""
        found = [package("playwright", extra="web"), browser_need(), drawn_replies()]
        if own_sites(cfg):
            return found
        from tasks.webarena.doctor import site_needs

        return [*found, core_data(CL100K_FILE, cfg), *site_needs(cfg)]

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        """The 812 tasks in their order; the own ones under `testsites`, and a few of those on fixtures."""
        if own_sites(cfg):
            from tasks.webarena.world import FIXTURE

            key = "eval_2024" if cfg.options.evaluators == "v2024" else "eval"
            found = [_sample(row, {}) for row in rows.read(FIXTURE / rows.OWN, evaluator=key)]
            return found if cfg.split == OWN_SPLIT else [one for one in found if one.id in FEW]
        from tasks.webarena import config

        sites = config.load().sites
        name = rows.CORRECTED if cfg.options.evaluators == "v2024" else rows.RELEASED
        return [_sample(row, sites.real) for row in rows.read(cfg.data / name, sites.filled)]

    def asked(self, sample: Sample) -> str:
        return sample.data["row"].intent

    def world(self, ctx: Context) -> AbstractAsyncContextManager[ArenaWorld]:
        """Browsers and sites for a run."""
        from tasks.webarena.world import open_world

        return open_world(ctx, own_sites(ctx))

    def oracle(self, ctx: Context, sample: Sample) -> Oracle:
        """Gold actions on the own sites, references elsewhere."""
        del ctx
        from tasks.webarena.oracle import ArenaOracle

        return ArenaOracle(sample.data["row"])

    def accepts(self, ask: JudgeAsk, text: str) -> bool:
        """Upstream's first judge was taken at any word; the later ones must say one of theirs."""
        from tasks.webarena.judge import readable

        return readable(str(ask.info.get("kind")), text)

    def resolve(self, ctx: Context, pending: Pending, verdicts: Sequence[Verdict]) -> Score:
        """Multiply what the live pages gave with what the judge says."""
        del ctx
        from tasks.webarena.episode import judged
        from tasks.webarena.judge import agreed

        part = agreed(pending.items, verdicts)
        known = pending.partial or Score(1.0)
        return judged(known, part, early=pending.outcome is not None)

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        """Both rates, their counts, and each site's rate."""
        return score.aggregate(rows, self.spec.headline(rows)) if rows else {}


def own_sites(cfg: TaskConfig) -> bool:
    """Whether the own sites are played: their split, and every split of the fixture, which has no others."""
    return cfg.split == OWN_SPLIT or cfg.source == "fixture"


def _sample(row: rows.ArenaRow, real: Mapping[str, str]) -> Sample:
    """A sample; what changes a site holds it alone, what only reads shares it."""
    names = tuple(f"site:{real[site]}" for site in sorted(row.touched) if site in real)
    reads = row.id in rows.reading()
    return Sample(
        str(row.id),
        {"row": row},
        labels={"site": "+".join(row.sites), "evaluator": "+".join(row.types)},
        cluster=f"template {row.template}",
        locks=() if reads else names,
        shares=names if reads else (),
    )


TASK = WebArena()
