"""Makes prompts.json and the configurations from a checkout of AgentTuning."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.data import Tell, write_literals
from harness.data.core import game_texts
from tasks.card_game.rows import FOLDER


def prepare(source: Path, target: Path, tell: Tell) -> list[Path]:
    """Write the game's texts and copy its three configurations.

    Raises:
        DataError: `source` is no checkout of AgentTuning.
    """
    written = [write_literals(target / "prompts.json", game_texts(source, tell))]
    for found in sorted((source / FOLDER).glob("*.yaml")):
        place = target / FOLDER / found.name
        place.parent.mkdir(parents=True, exist_ok=True)
        written.append(Path(shutil.copyfile(found, place)))
    return written
