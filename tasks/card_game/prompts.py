"""Builds what the model is shown: the rules, the state before a guess or an action, and the turns before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.data import literals
from harness.errors import DataError
from harness.types import Message
from tasks.card_game.battle import NAMES, Passive
from tasks.card_game.seat import COUNTER, UNKNOWN, Remembered, Seat

SDK = "AgentBench.old/src/tasks/card_game/AI_SDK/Python"
ADDRESS = f"THUDM/AgentTuning:{SDK}"
REFERENCE = "reference_texts.json"
SKILLS = {"normalattack": "Normal", "aoe": "AOE", "infight": "Infight"}

Turn = tuple[str, str]
"""A prompt and the reply that was accepted."""


@dataclass(frozen=True, slots=True)
class CardGamePrompts:
    """The texts.

    Attributes:
        guess_rules: first turn of every call for a guess; `move_rules` of every call for an action.
        assent: the assistant's turn after the rules.
        guess_parts: the texts before, between and after the four facts of a guess's prompt.
        move_parts: the same for the three facts of an action's.
        corrected: name the true targets and abilities instead of what upstream's client makes of them.
        rules_first: put the rules before the earlier turns instead of after them.
    """

    guess_rules: str
    move_rules: str
    assent: str
    guess_parts: tuple[str, ...]
    move_parts: tuple[str, ...]
    corrected: bool = False
    rules_first: bool = False

    def guess(self, seat: Seat) -> str:
        """The prompt for a guess."""
        theirs = seat.theirs
        action = self._action(theirs)
        action["SKILL_TYPE"] = SKILLS[theirs.skill] if theirs.fish != UNKNOWN else "None"
        passives = self._passives(seat)
        living = [str(pos) for pos in seat.enemies]
        facts = (str(seat.guessed_right), str(living), str(action), json.dumps(passives, ensure_ascii=False))
        return _joined(self.guess_parts, facts)

    def move(self, seat: Seat) -> str:
        """The prompt for an action."""
        facts = (_state(seat), str(self._action(seat.mine)), str(self._action(seat.theirs)))
        return _joined(self.move_parts, facts)

    def messages(self, rules: str, history: Sequence[Turn], prompt: str) -> tuple[Message, ...]:
        """All messages of one call."""
        opening = (rules, self.assent)
        turns = (opening, *history) if self.rules_first else (*history, opening)
        said = [(Message("user", asked), Message("assistant", answer)) for asked, answer in turns]
        return (*(message for pair in said for message in pair), Message("user", prompt))

    def _action(self, record: Remembered) -> dict[str, str]:
        """A player's last action; upstream shows which places of its list are not zero, not the targets."""
        if record.fish == UNKNOWN:
            return {"ACTION_FISH": "None", "ATK": "None", "TARGET": "None"}
        if self.corrected and record.deed is not None:
            targets = record.deed.targets
            damage, places = targets[0][1], [pos for pos, _ in targets]
        else:
            damage, places = record.injuries[0], [n for n, pos in enumerate(record.targets) if pos]
        return {"ACTION_FISH": str(record.fish), "ATK": str(damage), "TARGET": str(places)}

    def _passives(self, seat: Seat) -> dict[str, str]:
        """The enemy's abilities in both last actions; upstream reads the lists to their last zero."""
        if self.corrected:
            enemy = 1 - seat.side
            deeds = [record.deed for record in (seat.mine, seat.theirs) if record.deed is not None]
            return {
                f"Position: {one.by}": _named(one)
                for deed in deeds
                for one in deed.passives
                if one.side == enemy
            }
        seen = (*seat.mine.other, *seat.theirs.own)
        return {f"Position: {pos}": "Counter" if kind == COUNTER else "Deflect" for pos, kind in seen}


def load(data: Path, *, corrected: bool, rules_first: bool) -> CardGamePrompts:
    """Read the texts and put the rules together.

    Raises:
        DataError: a text is missing or not the pinned one, or the rules differ from `reference_texts.json`.
    """
    path = data / "prompts.json"
    texts = literals(path)
    try:
        action_format, guess_format, fish, move_rules, rule, guess_rules = (
            texts[f"{ADDRESS}/prompt/en.py:{name}"]
            for name in (
                *("action_format", "guess_format", "fish_description"),
                *("ACTION_PROMPT", "GUESS_RULE", "GUESS_PROMPT"),
            )
        )
        found = CardGamePrompts(
            guess_rules % (fish, guess_format),
            move_rules % (rule, fish, action_format),
            texts[f"{ADDRESS}/client.py:Client.llm_call#0"],
            tuple(texts[f"{ADDRESS}/AI_En.py:Agent._guess#{n}"] for n in range(14, 19)),
            tuple(texts[f"{ADDRESS}/AI_En.py:Agent._decide#{n}"] for n in range(18, 22)),
            corrected,
            rules_first,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not the card game's ({error!r}); get the file again") from error
    _check(data / REFERENCE, found)
    return found


def _check(path: Path, prompts: CardGamePrompts) -> None:
    """Compare the rules with the finished ones, where the data has them."""
    if not path.is_file():
        return
    place = f"{SDK.removeprefix('AgentBench.old/')}/prompt/en.py"
    wanted = literals(path)
    for name, text in (("GUESS", prompts.guess_rules), ("ACTION", prompts.move_rules)):
        versions = wanted.get(f"{place}:{name}_DESCRIPTION")
        if not isinstance(versions, Mapping) or versions.get("2") != text:
            raise DataError(
                f"the rules made from prompts.json are not {name}_DESCRIPTION of {path}: "
                "get both files again (harness data verify card_game)"
            )


def _named(passive: Passive) -> str:
    return passive.kind.capitalize()


def _joined(parts: Sequence[str], facts: Sequence[str]) -> str:
    """Alternate fixed texts with facts."""
    return parts[0] + "".join(fact + part for fact, part in zip(facts, parts[1:], strict=True))


def _state(seat: Seat) -> str:
    """Both sides in one line of JSON; an enemy's id only when it is known, its attack points never."""
    own = seat.battle.fish[seat.side]
    state = {
        "You": [_row(NAMES[fish.id], pos, max(fish.hp, 0), str(fish.atk)) for pos, fish in enumerate(own)],
        "Enemy": [
            _row(NAMES.get(seat.enemy_id(pos), "unknown"), pos, seat.enemy_hp(pos), "unknown")
            for pos in range(4)
        ],
    }
    return json.dumps(state, ensure_ascii=False)


def _row(name: str, pos: int, hp: int, atk: str) -> dict[str, str]:
    return {"ID": name, "POSITION": str(pos), "HP": str(hp), "ATK": atk}
