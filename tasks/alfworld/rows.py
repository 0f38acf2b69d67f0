"""Game files: reads them, and gives a modern one the grammar of 2023."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import DataError

KINDS: Mapping[str, str] = {
    "pick_and_place": "put",
    "pick_clean_then_place": "clean",
    "pick_heat_then_place": "heat",
    "pick_cool_then_place": "cool",
    "look_at_obj": "examine",
    "pick_two_obj": "puttwo",
}
"""Kind of a task by the start of its folder's name."""

PLACEHOLDER = "UNKNOWN GOAL"
_GOAL = re.compile(r'Your task is to: ([^"]*?)\."')
_MOVE = re.compile(r"^move (.+) to (.+)$")


@dataclass(frozen=True, slots=True)
class Logic:
    """A PDDL domain and the text grammar that goes with it."""

    domain: str
    grammar: str


@dataclass(frozen=True, slots=True)
class Game:
    """One game as the engine loads it.

    Attributes:
        walkthrough: commands that win it; empty when the file has none.
    """

    logic: Logic
    problem: str
    walkthrough: tuple[str, ...] = ()


def kind(path: str) -> str:
    """Kind of the game at `.../<task dir>/<trial dir>/game.tw-pddl`.

    Raises:
        DataError: the folder's name starts like none of the six.
    """
    folder = sample_id(path)
    for prefix, name in KINDS.items():
        if folder.startswith(prefix):
            return name
    raise DataError(f"{path}: the task folder's name starts with none of {', '.join(KINDS)}")


def sample_id(path: str) -> str:
    """`<task dir>/<trial dir>` of a game's path."""
    return "/".join(path.split("/")[-3:-1])


def read(path: Path) -> Game:
    """Read a game file.

    Raises:
        DataError: it is missing or no game.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        logic = Logic(content["pddl_domain"], content["grammar"])
        return Game(logic, content["pddl_problem"], tuple(content.get("walkthrough") or ()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a game ({error!r}); `harness doctor` says how to get it") from error


def read_logic(folder: Path) -> Logic:
    """Read the legacy domain and grammar, shared by all games."""
    try:
        domain = (folder / "alfred.pddl").read_text(encoding="utf-8")
        grammar = (folder / "alfred.twl2").read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{folder} lacks the legacy grammar: {error}") from error
    if grammar.count(PLACEHOLDER) != 1:
        raise DataError(f"{folder}/alfred.twl2 does not have one {PLACEHOLDER}")
    return Logic(domain, grammar)


def legacy(game: Game, old: Logic) -> Game:
    """Give a game the domain and grammar that AgentLM was trained on; its house and goal stay.

    Raises:
        DataError: the game's grammar names no task.
    """
    goal = _GOAL.search(game.logic.grammar)
    if goal is None:
        raise DataError("the game's grammar does not say what the task is")
    grammar = old.grammar.replace(PLACEHOLDER, goal.group(1))
    steps = tuple(_MOVE.sub(r"put \1 in/on \2", command) for command in game.walkthrough)
    return replace(game, logic=Logic(old.domain, grammar), walkthrough=steps)
