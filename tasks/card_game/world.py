"""Builds games; nothing is shared between them but the texts."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from harness.episode import BaseWorld
from harness.types import Ask, Capacity, Chat, Context, Sample
from tasks.card_game import prompts
from tasks.card_game.episode import MAX_NEW_TOKENS, CardGameEpisode, CardGameRules
from tasks.card_game.score import RANDOM_PLAY

CONTEXT = 4096
"""Tokens of the paper's server; upstream asks it to cut prompts to what the reply leaves of them."""


class CardGameWorld(BaseWorld):
    """Owns no process."""

    capacity = Capacity(memory_mb=1, cpu=0.001)

    def __init__(self, rules: CardGameRules) -> None:
        self._rules = rules
        cells = ", ".join(f"{cell} {rate:g}" for cell, rate in RANDOM_PLAY.items())
        mean = sum(RANDOM_PLAY.values()) / len(RANDOM_PLAY)
        self.notes = (f"random legal play wins {mean:.2f} % ({cells}): no score, what a score stands beside",)
        texts = (rules.prompts.guess_rules, rules.prompts.move_rules, rules.prompts.assent)
        parts = (*texts, *rules.prompts.guess_parts, *rules.prompts.move_parts)
        self.fingerprint = {"prompt": hashlib.sha256("\x1d".join(parts).encode()).hexdigest()[:16]}

    async def episode(self, sample: Sample, chats: Mapping[str, Chat], seed: int) -> CardGameEpisode:
        """Build a game; the seed decides the opponent's fish, its luck and its clock."""
        del chats
        return CardGameEpisode(sample.data["opponent"], sample.data["side"], seed, self._rules)


@asynccontextmanager
async def open_world(ctx: Context) -> AsyncIterator[CardGameWorld]:
    """Read the texts."""
    options = ctx.options
    texts = prompts.load(
        ctx.data, corrected=options.prompt_fields == "corrected", rules_first=options.rules_first
    )
    truncate = CONTEXT - MAX_NEW_TOKENS if ctx.profile == "paper" else None
    yield CardGameWorld(
        CardGameRules(
            texts,
            Ask(MAX_NEW_TOKENS, truncate=truncate),
            clock=options.opponent_rng == "clock",
            fix_infight_target=options.fix_infight_target,
            legacy_socket_limits=options.legacy_socket_limits,
        )
    )
