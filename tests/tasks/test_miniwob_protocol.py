"""The instruction language and the RCI protocol, without a browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.miniwob.action import MiniWobAction, accepted, cut, parse, steps
from tasks.miniwob.prompts import MiniWobPrompts
from tasks.miniwob.protocol import MiniWobRules, ModelCall, Protocol, View

FIXTURE = Path(__file__).parents[2] / "tasks" / "miniwob" / "fixture"


@pytest.fixture(scope="module")
def prompts() -> MiniWobPrompts:
    return MiniWobPrompts(FIXTURE)


@pytest.mark.parametrize(
    ("reply", "instruction"),
    [
        ("type hello`.", "type hello"),
        ("`type hello`", ""),
        ("clickxpath //a\n[1]", "clickxpath //a[1]"),
        ("type one\\ntwo", "type one\ntwo"),
        ("  'press enter'  ", "press enter"),
        ("'' type x ''", " type x "),
        ("", ""),
    ],
)
def test_a_reply_is_cut_to_an_instruction(reply: str, instruction: str):
    assert cut(reply) == instruction


@pytest.mark.parametrize(
    ("instruction", "good"),
    [
        ("clickxpath //button", True),
        ("CLICKXPATH //button", True),
        ("clickxpath\t//button", True),
        ("clickxpath ", False),
        ("click //button", False),
        ('type "quoted"', True),
        ("type two\nlines", True),
        ("press space", False),
        ("press ArrowLeft", True),
        ("press enter now", False),
        ("1. type x", False),
        ("clickoption //option", True),
        ("movemouse //li", True),
        ("", False),
    ],
)
def test_any_of_the_six_patterns_accepts(mirror: Path, prompts: MiniWobPrompts, instruction: str, good: bool):
    for patterns in (prompts.patterns, MiniWobPrompts(mirror / "miniwob").patterns):
        assert len(patterns) == 6
        assert accepted(instruction, patterns) is good


def test_an_instruction_splits_at_single_spaces():
    assert parse('TYPE a "b" c') == MiniWobAction("type", "a b c")
    assert parse("clickxpath //a[text()='x y']") == MiniWobAction("clickxpath", "//a[text()='x y']")
    assert parse("press enter") == MiniWobAction("press", "enter")
    # The pattern lets a tab through, the split at spaces does not know the verb.
    assert parse("clickxpath\t//a") is None


@pytest.mark.parametrize(
    ("plan", "count"),
    [
        ("", 1),
        ("no numbers", 1),
        ("1. a\n2. b", 3),
        ("2. b", 1),
        ("11. only", 2),
        ("1. a 3. c", 2),
        ("1.", 2),
    ],
)
def test_a_plan_gives_its_numerals_plus_one(plan: str, count: int):
    assert steps(plan, 30) == count


def test_a_plan_gives_at_most_so_many():
    assert steps("".join(f"{n}. x\n" for n in range(1, 1000)), 30) == 30


@given(st.text())
def test_no_reply_breaks_the_language(text: str):
    instruction = cut(text)
    action = parse(instruction)
    assert action is None or action.verb in ("type", "press", "clickxpath", "clickoption", "movemouse")
    assert 1 <= steps(text, 30) <= 30


def run(
    protocol: Protocol, replies: dict[str, str], views: list[View]
) -> tuple[list[ModelCall], list[MiniWobAction], str]:
    """Drive a protocol with one reply per stage; views are shown in turn, the last for ever."""
    script, calls, actions, answer = protocol.play(views.pop(0)), [], [], None
    try:
        while True:
            event = script.send(answer)
            if isinstance(event, ModelCall):
                calls.append(event)
                answer = replies.get(event.stage, "")
            else:
                actions.append(event)
                answer = views.pop(0) if len(views) > 1 else views[0]
    except StopIteration as stop:
        return calls, actions, stop.value


PAGE = View(html="<div id='wrap'>x</div>", utterance="Do it.")


def test_the_stages_of_an_episode(prompts: MiniWobPrompts):
    replies = {"plan": "1. a", "critique": "fine", "revise": "1. b", "act": "type x", "ground": "type y"}
    views = [PAGE, PAGE, View(done=True, reward=0.9, raw=1)]
    calls, actions, ended = run(Protocol(prompts, MiniWobRules(), "click-button"), replies, views)
    assert [call.stage for call in calls] == ["plan", "critique", "revise", "act", "ground", "act", "ground"]
    assert actions == [MiniWobAction("type", "y")] * 2
    assert ended == "page"
    plan, critique, revise, act, ground, again, _ = (call.document for call in calls)
    assert critique.startswith(plan + "\n1. a")
    assert revise.startswith(critique + "fine")
    assert "1. b" in act and "1. a" not in act
    assert ground.startswith(act + "type x`.")
    assert "1: type y\n" in again


def test_an_empty_grounding_file_skips_the_call(prompts: MiniWobPrompts):
    calls, _, _ = run(
        Protocol(prompts, MiniWobRules(), "click-dialog"), {"revise": "1. a", "act": "type x"}, [PAGE, PAGE]
    )
    assert "ground" not in {call.stage for call in calls}


def test_the_example_is_shown_to_the_plan_only(prompts: MiniWobPrompts):
    protocol = Protocol(prompts, MiniWobRules(), "click-checkboxes")
    calls, _, _ = run(protocol, {"act": "type x"}, [PAGE, PAGE])
    shown = [prompts.files("click-checkboxes").example in call.document for call in calls]
    assert shown[0] and not any(shown[3:])


def test_repairs_are_counted_and_then_the_episode_fails(prompts: MiniWobPrompts):
    protocol = Protocol(prompts, MiniWobRules(repairs=3), "click-dialog")
    calls, actions, ended = run(protocol, {"act": "nonsense", "repair": "more"}, [PAGE, PAGE])
    assert [call.stage for call in calls][3:] == ["act", "repair", "repair", "repair"]
    assert (actions, ended, protocol.repaired) == ([], "repairs", 3)


def test_a_repair_that_works(prompts: MiniWobPrompts):
    protocol = Protocol(prompts, MiniWobRules(), "click-dialog")
    _, actions, ended = run(protocol, {"act": "nonsense", "repair": "type x"}, [PAGE, PAGE])
    assert (actions, ended) == ([MiniWobAction("type", "x")], "plan")


def test_an_accepted_instruction_without_a_verb_ends_it(prompts: MiniWobPrompts):
    _, actions, ended = run(
        Protocol(prompts, MiniWobRules(), "click-dialog"), {"act": "type\tx"}, [PAGE, PAGE]
    )
    assert (actions, ended) == ([], "verb")


@pytest.mark.parametrize(("noop", "ended"), [(False, "miss"), (True, "plan")])
def test_a_hover_that_finds_nothing(prompts: MiniWobPrompts, noop: bool, ended: str):
    protocol = Protocol(prompts, MiniWobRules(noop_on_miss=noop), "click-dialog")
    views = [PAGE, View(html="y", missed=True)]
    assert run(protocol, {"act": "movemouse //x"}, views)[2] == ended


def test_a_click_that_finds_nothing_goes_on(prompts: MiniWobPrompts):
    protocol = Protocol(prompts, MiniWobRules(), "click-dialog")
    views = [PAGE, View(html="y", missed=True)]
    assert run(protocol, {"act": "clickxpath //x", "revise": "1. a 2. b"}, views)[2] == "plan"
    assert protocol.steps == 3


def test_silence_ends(prompts: MiniWobPrompts):
    protocol = Protocol(prompts, MiniWobRules(), "click-button")
    calls, _, ended = run(protocol, {}, [PAGE, PAGE])
    assert (len(calls), ended, protocol.dropped_upstream) == (8, "repairs", True)


def test_a_long_page_loses_its_middle(prompts: MiniWobPrompts):
    protocol = Protocol(prompts, MiniWobRules(page_chars=100), "click-dialog")
    long = View(html="a" * 500 + "MIDDLE" + "b" * 500, utterance="g")
    (plan, *_), _, _ = run(protocol, {}, [long, long])
    assert "MIDDLE" not in plan.document
    assert "a" * 50 + "\n...\n" + "b" * 50 in plan.document


def test_the_released_recording_is_asked_word_for_word(mirror: Path):
    """The exemplar file records the eight calls of one released episode: ours must be the same text."""
    data = mirror / "miniwob"
    prompts = MiniWobPrompts(data)
    recorded = json.loads((data / "prompt" / "few-shot.json").read_text(encoding="utf-8"))
    asked, said = zip(*([turn["value"] for turn in shot["conversations"]] for shot in recorded), strict=True)

    def view(document: str) -> View:
        page = document.split("should solve a task.\n", 1)[1]
        goal = document.rsplit("Current task: ", 1)[1].split("\n")[0]
        return View(html=page.split("\n</div>\n\n", 1)[0] + "\n</div>", utterance=goal)

    # The recording began each instruction with the page as it was then; the first four calls share one.
    rules = MiniWobRules(grounding=False)
    script = Protocol(prompts, rules, "login-user-popup").play(view(asked[0]))
    documents, event = [], script.send(None)
    for place, reply in enumerate(said):
        assert isinstance(event, ModelCall)
        documents.append(event.document)
        event = script.send(reply)
        if isinstance(event, MiniWobAction) and place + 1 < len(asked):
            event = script.send(view(asked[place + 1]))
    assert documents == list(asked)


def test_every_listed_task_has_its_prompts(mirror: Path):
    data = mirror / "miniwob"
    prompts = MiniWobPrompts(data)
    tasks = (data / "available_tasks.txt").read_text(encoding="utf-8").split()
    assert len(tasks) == 46
    files = {task: prompts.files(task) for task in tasks}
    assert sum(not found.example for found in files.values()) == 10
    assert sum(not found.update_action for found in files.values()) == 16
    for found in files.values():
        assert "{clickxpath}" not in found.base + found.rci_action
    header = prompts.header
    assert [message.role for message in header] == ["system", *["user", "assistant"] * 3]
    assert prompts.messages("x")[-1].content.endswith("\n\nx")
