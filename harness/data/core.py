"""Core files that are made from a checkout of AgentTuning, and the notice that is read from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data.literals import extract_literals, literals, write_literals
from harness.data.resolve import core_file
from harness.errors import DataError, MissingPart
from harness.types import Notice, Source, TaskConfig

if TYPE_CHECKING:
    from harness.data.prepare import Tell

PROMPTS = "cardgame/prompts.json"
FIXTURE_NOTICE = "notice.json"

_REPOSITORY = "THUDM/AgentTuning"
_SDK = "AgentBench.old/src/tasks/card_game/AI_SDK/Python"
_CLIENT = "AgentBench.old/src/agent.py"
# The order of the mirror's file.
_ADDRESSES = {
    f"{_SDK}/prompt/en.py": (
        *("action_format", "guess_format", "fish_description", "ACTION_PROMPT", "GUESS_RULE"),
        "GUESS_PROMPT",
    ),
    f"{_SDK}/client.py": ("Client.llm_call#0",),
    f"{_SDK}/AI_En.py": (
        *(f"Agent._guess#{place}" for place in range(14, 19)),
        *(f"Agent._decide#{place}" for place in range(18, 22)),
    ),
    _CLIENT: ("Session.filter_messages#17", "Session.filter_messages#18"),
}


def prepare(source: Path, target: Path, tell: Tell) -> list[Path]:
    """Write the texts of the card game and of the client.

    Raises:
        DataError: `source` is no checkout of AgentTuning.
    """
    return [write_literals(target / PROMPTS, game_texts(source, tell))]


def game_texts(source: Path, tell: Tell) -> dict[str, object]:
    """Read the texts of the card game and of the client, by address.

    Raises:
        DataError: `source` is no checkout of AgentTuning.
    """
    texts: dict[str, object] = {}
    for done, (path, names) in enumerate(_ADDRESSES.items(), 1):
        if not (source / path).is_file():
            raise DataError(f"{source / path} is missing: give the top folder of an AgentTuning checkout")
        texts |= extract_literals(source / path, [f"{_REPOSITORY}:{path}:{name}" for name in names])
        tell(done, len(_ADDRESSES), path)
    return texts


def notice(folder: Path, source: Source, mirror: str | None = None) -> Notice | None:
    """The notice for a task's run.

    Args:
        folder: the task's data folder, as in its context.
        source: where that folder was found. A fixture brings its own words in `notice.json`, a list of two
            strings; without that file it has no notice.
        mirror: the mirror of the run; None for the one the folder lies in, if it lies in one.

    Raises:
        MissingPart: neither mirror nor cache has the texts, with the fix.
        DataError: the texts are not the pinned ones, or the fixture's file is of another form.
    """
    if source == "fixture":
        return _own(folder / FIXTURE_NOTICE)
    found = literals(core_file(PROMPTS, mirror or _around(folder, source)))
    try:
        before, after = (str(found[f"{_REPOSITORY}:{_CLIENT}:{name}"]) for name in _ADDRESSES[_CLIENT])
    except KeyError as error:
        raise MissingPart(f"{PROMPTS} lacks {error}: harness data prepare core --from PATH") from error
    return Notice(before, after)


def core_path(name: str, cfg: TaskConfig) -> Path:
    """Path of a file that several tasks use: in the mirror of this run, else in the cache.

    Raises:
        MissingPart: it is not there, with the fix.
    """
    return core_file(name, cfg.mirror or _around(cfg.data, cfg.source))


def _around(folder: Path, source: Source) -> str | None:
    """The mirror that holds a task's folder; None when no mirror does."""
    return str(folder.parent) if source == "mirror" else None


def _own(path: Path) -> Notice | None:
    if not path.is_file():
        return None
    try:
        match json.loads(path.read_text(encoding="utf-8")):
            case [str(before), str(after)]:
                return Notice(before, after)
            case _:
                raise ValueError("not two strings")
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} must be a JSON list of two strings: {error}") from error
