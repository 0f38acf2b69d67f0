"""Asks a judge about answers that wait and keeps every verdict; what is stored is not asked for again."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol

from harness.errors import InfraError, ModelError, StoreError
from harness.models.roles import EMBEDDER
from harness.types import CallKey, Chat, JudgeAsk, Pending

log = logging.getLogger("harness.running.judge")

CONCURRENCY = 16
JUDGE_FAILURES = 10
"""So many failed calls in a row end the stage; the same command resumes it."""

Accepts = Callable[[JudgeAsk, str], bool]
ChatOf = Callable[[CallKey], Chat]


@dataclass(frozen=True, slots=True)
class Judge:
    """Who judges, and how often.

    Attributes:
        name: the id its server gives; part of the metric's name, and verdicts of other judges stay.
        chat: gives the judge for an episode.
        k: judgings of each item.
        concurrency: most calls in flight.
        retry: ask again for stored verdicts that cannot be read.
    """

    name: str
    chat: ChatOf
    k: int = 1
    concurrency: int = CONCURRENCY
    retry: bool = False


@dataclass(frozen=True, slots=True)
class JudgeRequest:
    """The judging that the user requested: by which judge, and how often.

    Attributes:
        judge: NAME@URL of an OpenAI-compatible server, or an entry of models.toml; None beside `role`.
        role: `embedder=NAME@URL` or `embedder=st:FOLDER`, which values what waits for an embedder.
        k: judgings of each answer.
        concurrency: most calls in flight.
        mirror: as for `harness run`.
        retry: ask again for verdicts that cannot be read.
    """

    judge: str | None
    k: int = 1
    concurrency: int = CONCURRENCY
    mirror: str | None = None
    retry: bool = False
    role: str | None = None


class VerdictStore(Protocol):
    """What judging needs of a store."""

    def verdicts(self, episode: int, judge: str) -> dict[tuple[str, int], str]:
        """A judge's verdicts on one episode by (key, k)."""
        ...

    def cached_verdict(self, judge: str, prompt: str, k: int) -> str | None:
        """The text the same judge gave to the same prompt as its k-th answer, if any."""
        ...

    def put_verdict(self, episode: int, key: str, k: int, judge: str, prompt: str, text: str) -> None:
        """Commit one verdict; it replaces one of the same judge."""
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
        unread: verdicts that are there and cannot be read.
        failed: what went wrong, by episode, item and k.
        stopped: why the stage gave up, empty when it did not.
    """

    wanted: int = 0
    stored: int = 0
    cached: int = 0
    asked: int = 0
    unread: int = 0
    failed: dict[str, str] = field(default_factory=dict[str, str])
    stopped: str = ""

    @property
    def complete(self) -> bool:
        """Whether every requested verdict is in the store now."""
        return not self.failed and not self.stopped


def prompt_hash(judge: str, item: JudgeAsk) -> str:
    """Name a judge's question by everything that may move its answer."""
    told = [judge, [[m.role, m.content] for m in item.messages], asdict(item.ask)]
    text = json.dumps(told, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def cosines(name: str, vectors: Sequence[Sequence[float]]) -> str:
    """An embedder's verdict (see `JudgeAsk.role`): of vectors only their cosines are kept, to six digits.

    Args:
        name: of the embedder.
        vectors: one for each text, all of one length; a vector of zeros resembles none, not even itself.
    """
    import numpy as np

    found = np.array(vectors, dtype=float)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    units = np.divide(found, lengths, out=np.zeros_like(found), where=lengths > 0)
    table = np.round(units @ units.T, 6).tolist()
    return json.dumps({"embedder": name, "length": found.shape[1], "cosines": table})


async def collect(
    waiting: Iterable[Waiting],
    store: VerdictStore,
    judge: Judge,
    *,
    accepts: Accepts | None = None,
    tally: Tally | None = None,
) -> Tally:
    """Bring every verdict that is missing into the store, one committed row at a time.

    Args:
        waiting: episodes to judge; read lazily.
        store: where verdicts are looked up and committed.
        judge: the model that judges.
        accepts: says whether a verdict can be read; else the judge is asked once more, unless its
            question's `info` says `once`.
        tally: goes on counting here.

    Raises:
        StoreError: a verdict could not be committed; all before it are.
    """
    stage = _Stage(store, judge, accepts or (lambda item, text: True), tally or Tally())
    missing = stage.missing(waiting)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(max(1, judge.concurrency)):
                group.create_task(stage.work(missing))
    except* StoreError as errors:
        raise errors.exceptions[0] from None
    return stage.tally


def missing(waiting: Iterable[Waiting], store: VerdictStore, judge: Judge, accepts: Accepts) -> bool:
    """Whether the store lacks a verdict that is needed; the arguments are those of `collect`."""
    return any(True for _ in _Stage(store, judge, accepts, Tally()).missing(waiting))


class _Stage:
    """One judging: several workers take what is missing from one iterator."""

    def __init__(self, store: VerdictStore, judge: Judge, accepts: Accepts, tally: Tally) -> None:
        self._store, self._judge, self._accepts, self.tally = store, judge, accepts, tally
        self._same: dict[tuple[str, int], asyncio.Lock] = {}
        self._failures = 0

    def missing(self, waiting: Iterable[Waiting]) -> Iterator[tuple[Waiting, JudgeAsk, int]]:
        """Yield what the store does not have yet."""
        for episode in waiting:
            there = self._store.verdicts(episode.id, self._judge.name)
            for item in episode.pending.items:
                for number in range(self._judge.k):
                    self.tally.wanted += 1
                    known = there.get((item.key, number))
                    readable = known is not None and self._accepts(item, known)
                    if known is None or (self._judge.retry and not readable):
                        yield episode, item, number
                        continue
                    self.tally.stored += 1
                    self.tally.unread += not readable

    async def work(self, missing: Iterator[tuple[Waiting, JudgeAsk, int]]) -> None:
        """Judge until nothing is left or the judge seems dead."""
        for episode, item, number in missing:
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
        log.warning("judge %s: %s: %s", self._judge.name, name, error)
        if self._failures >= JUDGE_FAILURES:
            self.tally.stopped = f"{self._failures} calls in a row failed; the same command resumes"

    async def _one(self, episode: Waiting, item: JudgeAsk, number: int) -> None:
        prompt = prompt_hash(self._judge.name, item)
        # Two episodes may ask the same thing at once (an empty answer, say): one call serves both.
        async with self._same.setdefault((prompt, number), asyncio.Lock()):
            text = self._store.cached_verdict(self._judge.name, prompt, number)
            if text is None or (self._judge.retry and not self._accepts(item, text)):
                text = await self._ask(episode, item, number)
            else:
                self.tally.cached += 1
            self.tally.unread += not self._accepts(item, text)
            self._store.put_verdict(episode.id, item.key, number, self._judge.name, prompt, text)

    async def _ask(self, episode: Waiting, item: JudgeAsk, number: int) -> str:
        chat = self._judge.chat(episode.key)
        self.tally.asked += 1
        if item.role == EMBEDDER:
            texts = tuple(message.content for message in item.messages)
            return cosines(self._judge.name, await chat.embed(item.key, texts))
        reply = await chat.ask(f"{item.key}/{number}", item.messages, item.ask)
        if item.info.get("once") or self._accepts(item, reply.text):
            return reply.text
        self.tally.asked += 1
        return (await chat.ask(f"{item.key}/{number}/again", item.messages, item.ask)).text
