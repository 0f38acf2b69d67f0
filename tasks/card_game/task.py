"""The card game's task: its options, its samples and how their parts are joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from harness.episode import BaseTask, World
from harness.needs import Need, notice
from harness.types import Context, Limits, Row, Sample, TaskConfig, TaskSpec, option
from tasks.card_game import rows, score
from tasks.card_game.oracle import CardGameOracle


@dataclass(frozen=True, slots=True)
class CardGameOptions:
    """Which of upstream's defects are kept."""

    prompt_fields: str = option(
        "upstream",
        "corrected",
        help="upstream: targets and passive abilities as its client garbles them; corrected: the true ones",
        choices=("upstream", "corrected"),
    )
    opponent_rng: str = option(
        "clock",
        "uniform",
        help="clock: all lists of a length have one order within a second; uniform: each is shuffled anew",
        choices=("clock", "uniform"),
    )
    rules_first: bool = option(False, True, help="put the rules before the earlier turns, not after them")
    fix_infight_target: bool = option(
        False, True, help="an Infight may name any other living own fish, whoever stands opposite"
    )
    legacy_socket_limits: bool = option(
        True,
        False,
        help="a call over 10,000 bytes or an empty reply loses the game, as upstream's sockets hang",
    )


class CardGame(BaseTask):
    """Four fish against four; the model guesses the enemy's kinds and chooses its fish's actions."""

    spec = TaskSpec(
        name="card_game",
        version=1,
        suite="held-out",
        metric=score.METRIC,
        splits=("ext", "std", "dev"),
        # Two steps of five tries in each of the 32 turns that the limit rule leaves to a player.
        limits=Limits(turns=320, reset_s=60.0, step_s=60.0, episode_s=600.0),
        history="segments-3500",
        expected_turns=9,
        # Of the run's default seed; over many seeds the oracle wins 96.1 % of ext.
        ceiling={
            ("paper", "mirror"): 97.0,
            ("fixed", "mirror"): 96.5,
            ("paper", "fixture"): 100.0,
            ("fixed", "fixture"): 100.0,
        },
        released={"temperature": 0.7},
        paper_n=200,
        view=("step", "round", "ended"),
        shares=("valid_format",),
    )

    Options = CardGameOptions

    def needs(self, cfg: TaskConfig) -> Sequence[Need]:
        return (notice(cfg),)

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        return rows.samples(cfg.data, cfg.split)

    def asked(self, sample: Sample) -> str:
        del sample
        return ""  # every game asks the same

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        from tasks.card_game.world import open_world

        return open_world(ctx)

    def oracle(self, ctx: Context, sample: Sample) -> CardGameOracle:
        del ctx, sample
        return CardGameOracle()

    def old_labels(self, sample: str, metrics: Mapping[str, float]) -> Mapping[str, str]:
        del metrics
        _, opponent, side, _ = sample.split("/")
        return rows.labels(opponent, side)

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        return score.aggregate(rows)


TASK = CardGame()
