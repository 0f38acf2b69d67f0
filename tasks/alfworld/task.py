"""ALFWorld's task: its options, its samples and how their parts are joined."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from harness.episode import BaseTask, World
from harness.errors import DataError
from harness.needs import Need, executable_scratch, notice, package
from harness.types import Ask, Context, Limits, Sample, TaskConfig, TaskSpec, option
from tasks.alfworld import action, prompts
from tasks.alfworld.episode import MAX_NEW_TOKENS, AlfWorldEpisode, AlfworldRules
from tasks.alfworld.oracle import AlfWorldOracle
from tasks.alfworld.rows import Game, kind, legacy, read, read_logic, sample_id
from tasks.alfworld.world import GameSession, GameWorkers, open_world

GAMES = Path("games_2.1.3")
SPLITS = Path("AgentTuning/AgentBench.old/data/alfworld")
LOGIC = Path("AgentBench/data/alfworld/logic")
CONTEXT = 4096
"""Tokens of the paper's server; upstream asks it to cut prompts to what the reply leaves of them."""


@dataclass(frozen=True, slots=True)
class AlfWorldOptions:
    """Whose prompts, rules and grammar are used."""

    protocol: str = option(
        "agenttuning",
        help="whose prompts and rules: AgentTuning's, or AgentBench v0.2's (ACTION: required)",
        choices=("agenttuning", "agentbench-v0.2"),
    )
    grammar: str = option(
        "legacy",
        help="language of the games: that of 2023 (put .. in/on ..), or the game file's own (move .. to ..)",
        choices=("legacy", "native"),
    )
    match: str = option(
        "bleu",
        help="bleu executes the admissible command most like the action; exact only what is said",
        choices=("bleu", "exact"),
    )
    show_actions: bool = option(False, help="list the admissible commands in the newest turn")


class AlfWorldTask(BaseTask):
    """Household games, solved by text commands."""

    spec = TaskSpec(
        name="alfworld",
        version=2,
        suite="held-in",
        metric="success_rate",
        splits=("std", "dev"),
        limits=Limits(turns=35, reset_s=600.0, step_s=300.0, episode_s=3600.0),
        history="segments-3500",
        expected_turns=15,
        ceiling={(p, d): 100.0 for p in ("paper", "fixed") for d in ("mirror", "fixture")},
        released={"temperature": 0.7},
        paper_n=50,
        view=("parsed", "executed", "won"),
    )

    Options = AlfWorldOptions

    def needs(self, cfg: TaskConfig) -> Sequence[Need]:
        engine = (package("textworld", extra="alfworld"), package("fast_downward", extra="alfworld"))
        return (*engine, executable_scratch(), notice(cfg))

    def history(self, cfg: TaskConfig) -> str:
        """The same window for both protocols, but AgentBench v0.2's client strips nothing."""
        newer = cfg.options.protocol == "agentbench-v0.2"
        return f"{self.spec.history}-verbatim" if newer else self.spec.history

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        path = cfg.data / SPLITS / f"{cfg.split}.json"
        try:
            groups: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
            games = [game for group in groups.values() for game in group]
        except (OSError, ValueError, AttributeError) as error:
            message = f"{path} cannot be read: {error}; `harness doctor` says how to get it"
            raise DataError(message) from error
        return [
            Sample(sample_id(game), {"path": game, "kind": kind(game)}, {"kind": kind(game)})
            for game in games
        ]

    def asked(self, sample: Sample) -> str:
        del sample
        return ""  # the goal is part of the game

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        rules = _rules(ctx)
        logic = read_logic(ctx.data / LOGIC)

        def build(sample: Sample, workers: GameWorkers) -> AlfWorldEpisode:
            return AlfWorldEpisode(GameSession(workers, _game(ctx, sample)), sample.data["kind"], rules)

        shown = {
            kind: "\x1e".join(message.content for message in rules.prompts.opening(kind))
            for kind in sorted(rules.prompts.exemplars)
        }
        parts = {"prompt": "\x1d".join(shown.values())}
        if ctx.options.grammar == "legacy":
            parts |= {"domain": logic.domain, "grammar": logic.grammar}
        return open_world(ctx, build, parts)

    def oracle(self, ctx: Context, sample: Sample) -> AlfWorldOracle:
        return AlfWorldOracle(_game(ctx, sample).walkthrough)


def _rules(ctx: Context) -> AlfworldRules:
    protocol = cast(prompts.Protocol, ctx.options.protocol)
    truncate = CONTEXT - MAX_NEW_TOKENS if ctx.profile == "paper" else None
    return AlfworldRules(
        prompts.load(ctx.data, protocol),
        Ask(MAX_NEW_TOKENS, truncate=truncate),
        choose=action.exact if ctx.options.match == "exact" else action.nearest,
        marked_only=protocol == "agentbench-v0.2",
        show_actions=ctx.options.show_actions or protocol == "agentbench-v0.2",
    )


def _game(ctx: Context, sample: Sample) -> Game:
    game = read(ctx.data / GAMES / sample.data["path"])
    return legacy(game, read_logic(ctx.data / LOGIC)) if ctx.options.grammar == "legacy" else game


TASK = AlfWorldTask()
