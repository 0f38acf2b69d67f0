"""Reads how many games of a kind upstream's configuration asks for, and lists the samples."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from harness.errors import DataError
from harness.types import Sample
from tasks.card_game.opponents import OPPONENTS

FOLDER = Path("AgentBench.old/configs/tasks/card_game")
SIDES = (0, 1)
MOST = 10_000
"""Games of a kind beyond which a configuration is taken for damaged."""

_GAMES = re.compile(r"^\s*test_time:\s*([0-9]{1,6})\s*$", re.MULTILINE)


def games(data: Path, split: str) -> int:
    """How many games are played against each opponent from each side.

    Raises:
        DataError: the configuration is not there, or does not say.
    """
    path = data / FOLDER / f"{split}.yaml"
    try:
        found = _GAMES.search(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}; `harness doctor` says how to get it") from error
    if found is None or not 0 < int(found[1]) <= MOST:
        raise DataError(f"{path} has no line `test_time: N` with N from 1 to {MOST}; get the file again")
    return int(found[1])


def samples(data: Path, split: str) -> Sequence[Sample]:
    """`<split>/<opponent>/<side>/<game>`, in upstream's order."""
    count = games(data, split)
    return [
        Sample(
            f"{split}/{opponent}/{side}/{game}", {"opponent": opponent, "side": side}, labels(opponent, side)
        )
        for opponent in OPPONENTS
        for side in SIDES
        for game in range(count)
    ]


def labels(opponent: str, side: int | str) -> dict[str, str]:
    """What results are grouped by."""
    return {"opponent": opponent, "side": str(side), "cell": f"{opponent}/{side}"}
