"""The judge stage: asks a judge about answers that wait, keeps every verdict, resumes where it stopped."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Protocol, cast

from harness.errors import InfraError, ModelError, StoreError
from harness.types import CallKey, Chat, Context, JudgeAsk, Pending, Verdict

if TYPE_CHECKING:
    from harness.episode import Task
    from harness.storage.store import Store, StoredAttempt

log = logging.getLogger(__name__)

CONCURRENCY = 16
DEAD_AFTER = 10
"""So many failed calls in a row end the stage; the same command resumes it."""

Accepts = Callable[[JudgeAsk, str], bool]
ChatOf = Callable[[CallKey], Chat]


class VerdictStore(Protocol):
    """What the stage needs of a store."""

    def verdicts(self, episode: int, judge: str) -> dict[tuple[str, int], str]:
        """A judge's verdicts on one episode by (key, k)."""
        ...

    def cached_verdict(self, judge: str, prompt: str, k: int) -> str | None:
        """The text the same judge gave to the same prompt as its k-th answer, if any."""
        ...

    def put_verdict(self, episode: int, key: str, k: int, judge: str, prompt: str, text: str) -> None:
        """Commit one verdict."""
        ...


@dataclass(frozen=True, slots=True)
class Waiting:
    """An episode that waits for its judge.

    Attributes:
        id: of the stored attempt.
        key: names the episode towards the judge's endpoint.
    """

    id: int
    key: CallKey
    pending: Pending


@dataclass(slots=True)
class Tally:
    """How a judging went.

    Attributes:
        wanted: verdicts that are needed in all.
        stored: those that were there already.
        cached: those the same judge had given to the same prompt elsewhere in the store.
        asked: calls made, second tries included.
        failed: what went wrong, by episode, item and k.
        stopped: why the stage gave up, empty when it did not.
    """

    wanted: int = 0
    stored: int = 0
    cached: int = 0
    asked: int = 0
    failed: dict[str, str] = field(default_factory=dict[str, str])
    stopped: str = ""

    @property
    def complete(self) -> bool:
        """Whether every wanted verdict is in the store now."""
        return not self.failed and not self.stopped


@dataclass(frozen=True, slots=True)
class Judged:
    """What a run looks like after judging: episodes with a value, and those that still wait."""

    tally: Tally
    resolved: int
    waiting: int


def prompt_hash(judge: str, item: JudgeAsk) -> str:
    """Name a judge's question by everything that may move its answer."""
    told = [judge, [[m.role, m.content] for m in item.messages], asdict(item.ask)]
    text = json.dumps(told, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


async def collect(
    waiting: Iterable[Waiting],
    chat: ChatOf,
    store: VerdictStore,
    *,
    judge: str,
    k: int = 1,
    concurrency: int = CONCURRENCY,
    accepts: Accepts | None = None,
    tally: Tally | None = None,
) -> Tally:
    """Bring every verdict that is missing into the store, one committed row at a time.

    Args:
        waiting: episodes to judge; read lazily.
        chat: gives the judge for an episode.
        store: where verdicts are looked up and committed.
        judge: the judge's name; verdicts of other judges are left alone.
        k: judgings of each item.
        concurrency: most calls in flight.
        accepts: says whether a verdict can be used; one that cannot is asked for once more.
        tally: goes on counting here.

    Raises:
        StoreError: a verdict could not be committed; all before it are.
    """
    stage = _Stage(store, chat, judge, accepts, tally or Tally())
    work = stage.missing(waiting, k)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, concurrency)):
                group.create_task(stage.work(work))
    except* StoreError as errors:
        raise errors.exceptions[0] from None
    return stage.tally


async def judge_run(
    store: Store,
    tasks: Mapping[str, tuple[Task, Context]],
    chat: ChatOf,
    *,
    judge: str,
    k: int = 1,
    concurrency: int = CONCURRENCY,
) -> Judged:
    """Judge what waits in a run and give each fully judged episode its value.

    Repeating it asks only for what is missing; another judge, or a higher `k`, replaces the values, and
    all verdicts stay.

    Args:
        store: the run's.
        tasks: the judged tasks of the run with their contexts, by name; others are left alone.
        chat: gives the judge for an episode.
        judge: the judge's name, part of the metric's.
        k: judgings of each item.
        concurrency: most calls in flight.
    """
    attempts = [a for a in store.attempts(final_only=True) if a.pending is not None and a.item.task in tasks]
    tally, resolved = Tally(), 0
    for name, (task, ctx) in tasks.items():
        own = [attempt for attempt in attempts if attempt.item.task == name]
        if not own:
            continue
        waiting = (_waiting(attempt) for attempt in own)
        await collect(
            waiting,
            chat,
            store,
            judge=judge,
            k=k,
            concurrency=concurrency,
            accepts=task.accepts,
            tally=tally,
        )
        resolved += sum(_resolve(store, task, ctx, attempt, judge, k) for attempt in own)
        store.set_meta(f"judge/{name}", {"judge": judge, "k": k})
        if tally.stopped:
            break
    return Judged(tally, resolved, len(attempts) - resolved)


def _waiting(attempt: StoredAttempt) -> Waiting:
    item = attempt.item
    pending = cast(Pending, attempt.pending)
    return Waiting(attempt.id, CallKey(item.task, item.sample, item.repeat, attempt.calls), pending)


def _resolve(store: Store, task: Task, ctx: Context, attempt: StoredAttempt, judge: str, k: int) -> bool:
    """Value an episode whose verdicts are all there."""
    pending = cast(Pending, attempt.pending)
    found = store.verdicts(attempt.id, judge)
    wanted = [(item.key, number) for item in pending.items for number in range(k)]
    if any(key not in found for key in wanted):
        return False
    score = task.resolve(ctx, pending, [Verdict(key, n, found[key, n]) for key, n in wanted])
    note = "; ".join(part for part in (pending.note, score.note, f"judged by {judge}") if part)
    store.value_pending(attempt.id, score.value, score.metrics, note)
    return True


class _Stage:
    """One judging: workers that take work from one iterator."""

    def __init__(
        self, store: VerdictStore, chat: ChatOf, judge: str, accepts: Accepts | None, tally: Tally
    ) -> None:
        self._store, self._chat, self._judge = store, chat, judge
        self._accepts, self.tally = accepts, tally
        self._same: dict[tuple[str, int], asyncio.Lock] = {}
        self._failures = 0

    def missing(self, waiting: Iterable[Waiting], k: int) -> Iterator[tuple[Waiting, JudgeAsk, int]]:
        """Yield what the store does not have yet."""
        for episode in waiting:
            there = self._store.verdicts(episode.id, self._judge)
            for item in episode.pending.items:
                for number in range(k):
                    self.tally.wanted += 1
                    if (item.key, number) in there:
                        self.tally.stored += 1
                    else:
                        yield episode, item, number

    async def work(self, work: Iterator[tuple[Waiting, JudgeAsk, int]]) -> None:
        """Judge until nothing is left or the judge seems dead."""
        for episode, item, number in work:
            if self.tally.stopped:
                return
            try:
                await self._one(episode, item, number)
                self._failures = 0
            except (InfraError, ModelError) as error:
                self._failed(f"{episode.key.task} {episode.key.sample} {item.key} #{number}", error)

    def _failed(self, name: str, error: Exception) -> None:
        self.tally.failed[name] = str(error)
        self._failures += 1
        log.warning("judge %s: %s: %s", self._judge, name, error)
        if self._failures >= DEAD_AFTER:
            self.tally.stopped = f"{self._failures} calls in a row failed; the same command resumes"

    async def _one(self, episode: Waiting, item: JudgeAsk, number: int) -> None:
        prompt = prompt_hash(self._judge, item)
        # Two episodes may ask the same thing at once (an empty answer, say): one call serves both.
        async with self._same.setdefault((prompt, number), asyncio.Lock()):
            text = self._store.cached_verdict(self._judge, prompt, number)
            if text is None:
                text = await self._ask(episode, item, number)
            else:
                self.tally.cached += 1
            self._store.put_verdict(episode.id, item.key, number, self._judge, prompt, text)

    async def _ask(self, episode: Waiting, item: JudgeAsk, number: int) -> str:
        chat = self._chat(episode.key)
        self.tally.asked += 1
        reply = await chat.ask(f"{item.key}/{number}", item.messages, item.ask)
        if self._accepts is None or self._accepts(item, reply.text):
            return reply.text
        self.tally.asked += 1
        return (await chat.ask(f"{item.key}/{number}/again", item.messages, item.ask)).text
