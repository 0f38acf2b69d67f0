"""WebShop's task: its options, its samples and how their parts are joined."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.episode import BaseTask, World
from harness.needs import Need, notice, package
from harness.types import Context, Limits, Row, Sample, TaskConfig, TaskSpec, option
from tasks.webshop import catalogue, colors, fuzz, nouns, rows, score
from tasks.webshop.oracle import WebShopOracle

if TYPE_CHECKING:
    from tasks.webshop.rows import ShopGoal

MOST_TURNS = 20
"""AgentBench's later version allows as many."""


CACHE_FIX = "export HARNESS_CACHE=FOLDER, or harness data prepare webshop --from DIR where it can be written"
NOUNS_FIX = (
    "install a spaCy model en_core_web_* and repeat harness data prepare webshop --from DIR, "
    "or --set webshop.nouns=auto"
)


@dataclass(frozen=True, slots=True)
class WebShopOptions:
    """Whose rules are in force, and what stands in for parts that a user may lack."""

    parser: str = option(
        "agenttuning",
        "agentbench-v0.2",
        help="agenttuning: exactly one line break after `Action:`; agentbench-v0.2: any number of them",
        choices=("agenttuning", "agentbench-v0.2"),
    )
    max_turns: int = option(10, help="replies a visit may take", ge=1, le=MOST_TURNS)
    prices: int = option(rows.SEED, help="seed of the price caps and of prices within a range; not the run's")
    nouns: str = option(
        "auto",
        help="who finds a title's nouns: a prepared table, spaCy, a rule of thumb; auto: the first of these",
        choices=("auto", "table", "spacy", "rules"),
    )
    fuzz: str = option(
        "difflib",
        help="difflib compares as upstream; rapidfuzz (not among the extras) decides 1 in 10,000 otherwise",
        choices=("difflib", "rapidfuzz"),
    )
    backdoors: bool = option(True, False, help="upstream's queries `<r>`, `<c> x`, `<q> x`, `<a>`")


class WebShopTask(BaseTask):
    """Find and buy a product by an instruction."""

    spec = TaskSpec(
        name="webshop",
        version=1,
        suite="held-in",
        metric="reward",
        splits=("std", "dev", "small"),
        limits=Limits(turns=MOST_TURNS, reset_s=120.0, step_s=120.0, episode_s=3600.0),
        history="segments-3500",
        expected_turns=6,
        ceiling={(p, d): 100.0 for p in ("paper", "fixed") for d in ("mirror", "fixture")},
        released={"temperature": 0.7},
        paper_n=200,
        view=("action", "valid", "page"),
        shares=(
            "success",
            "bought",
            "format_fail",
            "reward_*",
            "r_*",
            "query_match",
            "category_match",
            "title_score",
        ),
    )
    Options = WebShopOptions

    def needs(self, cfg: TaskConfig) -> Sequence[Need]:
        wanted = [package(name, extra="shop") for name in ("nltk", "regex", "ijson")]
        if cfg.options.fuzz == "rapidfuzz":
            wanted.append(Need("python package rapidfuzz", _no_rapidfuzz, "pip install rapidfuzz"))
        wanted.append(Need("room in the cache", lambda: catalogue.no_room(cfg.data, cfg.split), CACHE_FIX))
        if cfg.options.nouns in ("table", "spacy"):
            folder = cfg.data / catalogue.bounds(cfg.data, cfg.split)[0]
            wanted.append(Need("nouns", lambda: nouns.missing(cfg.options.nouns, folder), NOUNS_FIX))
        return (*wanted, notice(cfg))

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        prefix = "small/" if cfg.split == "small" else ""
        return [Sample(f"{prefix}{n}", {"goal": goal}) for n, goal in catalogue.goals(cfg.data, cfg.split)]

    def asked(self, sample: Sample) -> str:
        return sample.data["goal"].wish

    def leaked(self, row: Row) -> bool:
        return row.sample == score.EXEMPLAR

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        from tasks.webshop.world import open_world

        return open_world(ctx)

    def oracle(self, ctx: Context, sample: Sample) -> WebShopOracle:
        goal: ShopGoal = sample.data["goal"]
        words, _ = colors.load(ctx.data)
        return WebShopOracle(goal, score.ShopRules(fuzz.ratio_of(ctx.options.fuzz), words))

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        return score.aggregate(rows, self.spec.headline(rows)) if rows else {}


def _no_rapidfuzz() -> str | None:
    found = importlib.util.find_spec("rapidfuzz") is not None
    return None if found else "not installed (webshop.fuzz=rapidfuzz compares with it)"


TASK = WebShopTask()
