"""What the card game shows the model: the data's own rules, upstream's garbled facts, and earlier turns."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from card_kit import FIXTURE, as_json, context, is_guess, legal, play, seats, told

from harness import data
from harness.data import literals
from harness.errors import DataError
from harness.models.api import Call
from tasks.card_game import prompts
from tasks.card_game.battle import EEL, FLAME, SPRAY, SUNFISH, Command


def test_the_rules_are_the_datas_own(mirror: Path):
    folder = mirror / "cardgame"
    found = prompts.load(folder, corrected=False, rules_first=False)
    wanted = literals(folder / prompts.REFERENCE)
    place = "src/tasks/card_game/AI_SDK/Python/prompt/en.py"
    assert found.guess_rules == wanted[f"{place}:GUESS_DESCRIPTION"]["2"]
    assert found.move_rules == wanted[f"{place}:ACTION_DESCRIPTION"]["2"]
    template = wanted["src/tasks/card_game/AI_SDK/Python/AI_En.py:Agent._guess(prompt f-string)"]
    _, seat, _ = seats()
    none = "{'ACTION_FISH': 'None', 'ATK': 'None', 'TARGET': 'None', 'SKILL_TYPE': 'None'}"
    assert found.guess(seat) == template.format(
        my_assert_result=False,
        live_enemy=["0", "1", "2", "3"],
        enemy_action=none,
        trigger_passive_json='{"Position: 0": "Counter"}',
    )


def test_rules_that_differ_from_the_datas_own_are_refused(tmp_path: Path):
    shutil.copytree(FIXTURE, tmp_path / "data")
    changed = tmp_path / "data" / prompts.REFERENCE
    changed.write_text(changed.read_text().replace("Two players", "Two gamers", 1))
    with pytest.raises(DataError, match=r"are not ACTION_DESCRIPTION of .*verify card_game"):
        prompts.load(tmp_path / "data", corrected=False, rules_first=False)
    changed.unlink()
    prompts.load(tmp_path / "data", corrected=False, rules_first=False)
    (tmp_path / "data" / "prompts.json").write_text("{}")
    with pytest.raises(DataError, match="get the file again"):
        prompts.load(tmp_path / "data", corrected=False, rules_first=False)


def loaded(*, corrected: bool = False) -> prompts.CardGamePrompts:
    return prompts.load(FIXTURE, corrected=corrected, rules_first=False)


def test_targets_are_the_places_that_are_not_zero():
    """Attacks on place 0 show nothing, and entries of earlier actions stay."""
    battle, seat, other = seats()
    shown = []
    for command in (
        Command(0, False, enemies=(0,)),
        Command(0, False, enemies=(2,)),
        Command(0, True, enemies=(0, 1, 2, 3)),
        Command(0, False, enemies=(3,)),
        Command(1, True, allies=(0,)),
    ):
        battle.mover = 0
        other.look(None, battle.act(command))
        shown.append(as_json(told(loaded().guess(other), 2)))
    assert [(one["ATK"], one["TARGET"]) for one in shown] == [
        ("100", "[]"),
        ("100", "[0]"),
        ("70", "[1, 2, 3]"),
        ("100", "[0, 1, 2, 3]"),
        ("100", "[0, 1, 2, 3]"),
    ]
    assert [one["SKILL_TYPE"] for one in shown] == ["Normal", "Normal", "AOE", "Normal", "Infight"]
    assert as_json(told(loaded(corrected=True).guess(other), 2)) == {
        "ACTION_FISH": "1", "ATK": "75", "TARGET": "[0]", "SKILL_TYPE": "Infight"
    }  # fmt: skip
    assert seat.side == 0


def test_passives_end_with_a_counter_at_place_0_and_name_the_fish_that_was_hit():
    battle, seat, _ = seats((SUNFISH, FLAME, EEL, SPRAY))
    battle.fish[1][2].hp = 100
    deed = battle.act(Command(0, True, enemies=(0, 1, 2, 3)))
    seat.look(deed, None)
    upstream = json.loads(told(loaded().guess(seat), 3))
    # The sunfish at 0 deflects, the eel at 2 deflects and is then weak: flame (1) and spray (3) counter.
    assert list(upstream.items()) == [("Position: 0", "Counter"), ("Position: 2", "Counter")]
    corrected = json.loads(told(loaded(corrected=True).guess(seat), 3))
    assert corrected == {
        "Position: 0": "Deflect", "Position: 2": "Deflect", "Position: 1": "Counter", "Position: 3": "Counter"
    }  # fmt: skip


def test_the_state_tells_ids_only_of_own_and_exposed_fish():
    battle, seat, _ = seats((SUNFISH, FLAME, EEL, SPRAY))
    battle.guess(1, FLAME)
    battle.fish[1][0].hp = -20
    battle.fish[0][2].exposed = True
    state = json.loads(loaded().move(seat).splitlines()[1])
    assert state["You"][2] == {"ID": "eel", "POSITION": "2", "HP": "400", "ATK": "200"}
    assert [fish["ID"] for fish in state["Enemy"]] == ["unknown", "flame", "unknown", "unknown"]
    assert state["Enemy"][0] == {"ID": "unknown", "POSITION": "0", "HP": "0", "ATK": "unknown"}


@pytest.mark.parametrize("rules_first", [False, True])
async def test_calls_show_three_guesses_or_two_moves_and_the_rules_beside(rules_first: bool):
    ctx = context(rules_first=rules_first)
    replies: list[tuple[bool, str, str]] = []

    def answer(call: Call) -> str:
        text = f"Reply {len(replies)}. {legal(call)}"
        replies.append((is_guess(call), call.messages[-1].content, text))
        return text

    texts = prompts.load(FIXTURE, corrected=False, rules_first=rules_first)
    _, calls = await play(ctx, "ext/baseline1/0/0", answer)
    assert len(calls) > 8
    for n, call in enumerate(calls):
        guess = replies[n][0]
        before = [one for one in replies[:n] if one[0] == guess][-3 if guess else -2 :]
        opening = (texts.guess_rules if guess else texts.move_rules, texts.assent)
        turns = [(asked, said) for _, asked, said in before]
        expected = [opening, *turns] if rules_first else [*turns, opening]
        shown = [message.content for message in call.messages]
        assert shown[:-1] == [text.strip() for turn in expected for text in turn]
        assert [m.role for m in call.messages] == ["user", "assistant"] * len(expected) + ["user"]


async def test_a_long_conversation_has_the_notice_in_its_oldest_prompt(mirror: Path):
    ctx = context(mirror / "cardgame", legacy_socket_limits=False)
    long = "I wonder. " * 700
    notice = data.notice(ctx.data, ctx.source)
    assert notice is not None

    def answer(call: Call) -> str:
        return long + legal(call)

    _, calls = await play(ctx, "ext/baseline1/0/0", answer)
    rules = prompts.load(ctx.data, corrected=False, rules_first=False).move_rules
    cut = [call for call in calls if notice.before.strip() in call.messages[0].content]
    assert cut
    for call in cut:
        first = call.messages[0].content
        assert first.endswith(notice.after.rstrip()) and not first.startswith(rules[:60])
        assert call.messages[-1].content.endswith((".", "action."))
