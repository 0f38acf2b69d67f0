"""The worker processes that play, and one game in play."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from weakref import WeakKeyDictionary

from harness.episode import BaseWorld, Episode
from harness.errors import EnvironmentFault
from harness.types import Capacity, Chat, Context, Sample
from harness.worker import Launch, Lease, PoolSpec, Worker, WorkerPool
from tasks.alfworld.rows import Game

WORKERS = 8
"""With so many processes no step was seen to wait: a step takes 50 ms, a model's reply seconds."""

SLOTS = 32
USES = 400
RECYCLE_MB = 1024.0
OPEN_S = 240.0
STEP_S = 120.0

NOTHING = "Nothing happens."
"""The engine's answer to anything that is not admissible; it changes no state."""


class GameSession:
    """One game in play: a slot of a worker, leased from `open` to `close`."""

    def __init__(self, workers: GameWorkers, game: Game) -> None:
        self._workers, self._game = workers, game
        self._lease: Lease | None = None
        self.commands: tuple[str, ...] = ()
        self.plan = game.walkthrough

    async def open(self) -> str:
        """Start the game and return what the player sees.

        Raises:
            EnvironmentFault: the worker ended, hung, or could not load the game.
        """
        lease = self._lease = await self._workers.pool.acquire()
        logic = self._game.logic
        arguments = (logic.domain, logic.grammar, self._game.problem, not self.plan)
        # Loading takes up to a second: one at a time per worker, so that steps get in between.
        async with self._workers.loading(lease.worker):
            feedback, commands, plan = await lease.call("open", *arguments, timeout=OPEN_S)
        self.commands = tuple(commands)
        self.plan = self.plan or tuple(plan)
        return feedback

    async def step(self, command: str) -> tuple[str, bool]:
        """Execute a command; returns the feedback and whether the game is won.

        Raises:
            EnvironmentFault: the worker ended or hung.
        """
        if self._lease is None:
            raise EnvironmentFault("the game is not open")
        if command.strip() not in self.commands:
            return NOTHING, False
        feedback, commands, won = await self._lease.call("step", command, timeout=STEP_S)
        self.commands = tuple(commands)
        return feedback, won

    def close(self) -> None:
        """Give the slot back. Idempotent."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()


class GameWorkers:
    """The pool of workers, and who may load a game in each."""

    def __init__(self, pool: WorkerPool) -> None:
        self.pool = pool
        self._loading: WeakKeyDictionary[Worker, asyncio.Lock] = WeakKeyDictionary()

    def loading(self, worker: Worker) -> asyncio.Lock:
        """The lock that a load in this worker holds."""
        return self._loading.setdefault(worker, asyncio.Lock())


class AlfWorld(BaseWorld):
    """Builds episodes; owns the workers."""

    def __init__(
        self,
        workers: GameWorkers,
        build: Callable[[Sample, GameWorkers], Episode],
        fingerprint: Mapping[str, str],
    ) -> None:
        self.workers = workers
        self.fingerprint = fingerprint
        places = workers.pool.spec.size * workers.pool.spec.slots
        self.capacity = Capacity(memory_mb=10, cpu=0.02, live=places)
        self._build = build

    async def episode(self, sample: Sample, chats: Mapping[str, Chat], seed: int) -> Episode:
        """Build an episode; nothing in a game is random, so the seed changes nothing."""
        del chats, seed
        return self._build(sample, self.workers)


@asynccontextmanager
async def open_world(
    ctx: Context, build: Callable[[Sample, GameWorkers], Episode], parts: Mapping[str, str]
) -> AsyncIterator[AlfWorld]:
    """Open the workers, the first of them at once and the others as they are needed.

    Args:
        ctx: its `work` folder takes the engine's temporary copies of its library.
        build: makes an episode of a sample.
        parts: texts whose hashes belong to the manifest, by name.
    """
    env = {"TMPDIR": str(ctx.work), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    spec = PoolSpec(
        Launch("tasks.alfworld.engine", env=env),
        size=min(os.cpu_count() or 1, WORKERS),
        slots=SLOTS,
        uses=USES,
        recycle_mb=RECYCLE_MB,
        warm=1,
    )
    hashes = {name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in parts.items()}
    async with WorkerPool(spec) as pool:
        yield AlfWorld(GameWorkers(pool), build, {**_versions(), **hashes})


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for package in ("textworld", "fast-downward-textworld"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
