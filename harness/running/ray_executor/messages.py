"""What passes between the command that runs a plan and the workers that play its episodes."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from io import BytesIO
from operator import attrgetter
from typing import Any, NamedTuple, cast

from harness.running.look import Look
from harness.running.request import RunRequest
from harness.storage.records import Attempt, CallRecord, EpisodeKey, Turn
from harness.types import Ask, Message

TIMES_UP_S = 1.0
"""Longest a worker takes to answer when nothing happened."""

SMALL = 16_384
"""Bytes of an attempt that are sent as they are."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a worker is told before its first episode.

    Attributes:
        request: the run's, with this worker's share of the requests in flight.
        package: `same.package` of the command; a worker with another one is not used.
        tasks: for each task `same.task_facts`, which a worker's own must equal.
        identity: of the model under test, which a worker's endpoints must have as well.
        settings: environment variables that the worker takes where it has none of its own.
        neighbours: how many workers share the worker's machine, itself included.
        level: of the log lines that are passed on.
        most: requests in flight of the whole run, all of which the last worker left may get.
    """

    request: RunRequest
    package: str
    tasks: Mapping[str, Mapping[str, Any]]
    identity: Mapping[str, Any]
    settings: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    neighbours: int = 1
    level: int = 30
    most: int = 1


@dataclass(frozen=True, slots=True)
class Opened:
    """A worker's answer to `Opening`.

    Attributes:
        refused: why it cannot play at all; empty when it can.
        missing: why it cannot play certain tasks, by task.
        spare: as in `Report`.
    """

    refused: str = ""
    missing: Mapping[str, str] = field(default_factory=dict[str, str])
    spare: int = 0


class Handed(NamedTuple):
    """One episode that a worker is to play.

    Attributes:
        followed: as in `PlannedEpisode`.
        begun: an earlier attempt may have touched its environment.
    """

    item: EpisodeKey
    followed: float
    begun: bool


class Line(NamedTuple):
    """One line of a worker's log."""

    logger: str
    level: int
    text: str


class Alive(NamedTuple):
    """A live episode; `doing` and `turn` are those of its `Activity`, `seconds` how long it does that."""

    task: str
    name: str
    doing: str
    seconds: float
    turn: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker has to tell since its last report.

    Attributes:
        attempts: that ended, as `packed` made them.
        returned: episodes that it will not play.
        lost: tasks that it cannot play any more, with the reason.
        facts: settings of the run's store that worlds gave, by key.
        replayable: of the worlds that are open, by task.
        look: the requests of its model; without turns.
        waiting: episodes of each task that wait here.
        spare: so many episodes of each task should wait here.
        held: episodes that were handed over and neither reported nor returned.
    """

    attempts: list[bytes]
    returned: list[EpisodeKey]
    lost: Mapping[str, str]
    facts: Mapping[str, Any]
    replayable: Mapping[str, bool]
    lines: list[Line]
    alive: list[Alive]
    look: Look
    waiting: Mapping[str, int]
    spare: int
    held: int


def _built_anew(kind: type[Any]) -> Callable[[Any], tuple[Any, ...]]:
    values = attrgetter(*(one.name for one in fields(kind)))
    return lambda value: (kind, values(value))


_BUILT_ANEW = {kind: _built_anew(kind) for kind in (Attempt, CallRecord, Turn, Message, Ask)}
"""How the many small parts of an attempt are pickled. Dataclasses with slots would put their state together
field by field in Python, which took a tenth of what playing a one-turn episode does."""


def _pickled(attempt: Attempt) -> bytes:
    into = BytesIO()
    pickler = pickle.Pickler(into, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = _BUILT_ANEW
    pickler.dump(attempt)
    return into.getvalue()


def packed(attempt: Attempt) -> bytes:
    """An attempt as bytes; one that cannot be sent becomes an `infra_error` that says so."""
    from zstandard import compress

    try:
        data = _pickled(attempt)
    except Exception as error:
        why = f"EnvironmentFault: the attempt cannot be sent to the run's store: {error!r}"
        failed = Attempt(attempt.task, attempt.version, attempt.sample, attempt.repeat, error=why)
        data = _pickled(failed)
    return compress(data, 1) if len(data) > SMALL else data  # each prompt repeats the one before


def unpacked(data: bytes) -> Attempt:
    """Undo `packed`. Workers run the command's own code, so their bytes are trusted as Ray trusts them."""
    from zstandard import decompress

    plain = data if data.startswith(pickle.PROTO) else decompress(data)
    return cast(Attempt, pickle.loads(plain))


def key_of(attempt: Attempt) -> EpisodeKey:
    """The item of an attempt."""
    return EpisodeKey(attempt.task, attempt.version, attempt.sample, attempt.repeat)
