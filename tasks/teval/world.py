"""Builds cases' episodes; there is nothing to open."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import cast

from harness.episode import BaseWorld
from harness.types import Capacity, Chat, Context, Sample
from tasks.teval.episode import TEvalEpisode
from tasks.teval.rows import FILES, CaseRow, chosen_runs, file_of

VERSION = "version 2 of T-Eval's data and rules; the published scores are of version 1"


class TEvalWorld(BaseWorld):
    """Owns no process."""

    capacity = Capacity(memory_mb=1, cpu=0.001)
    comparable = VERSION

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        runs = chosen_runs(ctx.options.runs)
        self.fingerprint = {run: _sha256(ctx, run) for run in runs}
        if len(runs) < len(FILES):
            self.notes = (f"no Overall: only the runs {', '.join(runs)} of T-Eval's eight were played",)

    async def episode(self, sample: Sample, chats: Mapping[str, Chat], seed: int) -> TEvalEpisode:
        """One attempt at a case. A bound embedder is asked afterwards, about all answers."""
        del chats, seed
        row = cast(CaseRow, sample.data["row"])
        return TEvalEpisode(row, self._ctx.options.functions, self._ctx.profile)


def _sha256(ctx: Context, run: str) -> str:
    with file_of(ctx, run).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@asynccontextmanager
async def open_world(ctx: Context) -> AsyncGenerator[TEvalWorld]:
    """Open the world: the files' hashes are taken."""
    yield TEvalWorld(ctx)
