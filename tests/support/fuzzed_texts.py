"""Readers of what a model says, with seeds; part of the table in `fuzzed_parsers.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.types import Reply
from tasks._shared.reading import balanced
from tasks.agent_h import action as agent_h
from tasks.alfworld import action as alfworld
from tasks.card_game import action as card_game
from tasks.card_game.battle import IDS, Battle
from tasks.card_game.seat import Seat
from tasks.dbbench import action as dbbench
from tasks.dbbench import sql
from tasks.gsm8k import score as gsm8k
from tasks.hotpotqa import action as hotpotqa
from tasks.humaneval import action as humaneval
from tasks.knowledgegraph import action as knowledgegraph
from tasks.mind2web import action as mind2web
from tasks.miniwob import action as miniwob
from tasks.mmlu import action as mmlu
from tasks.mt_bench import score as mt_bench
from tasks.os import action as os_task
from tasks.rewoo import action as rewoo
from tasks.sciworld import action as sciworld
from tasks.teval import action as teval
from tasks.webarena import action as webarena
from tasks.webshop import action as webshop

Read = Callable[[str], object]
COMMANDS = ("go to desk 1", "take mug 2 from desk 1", "look")
PROBLEM = {
    "prompt": "from typing import List\n\n\ndef double(x: int) -> int:\n",
    "entry_point": "double",
    "test": "",
}
TEMPLATE = {
    "thought_start": "Thought: ",
    "thought_end": "\n",
    "action_start": "Action: ",
    "action_end": "\n",
    "args_start": "Args: ",
    "args_end": "\n",
}
WORDS = tuple(agent_h.keywords(ignore_case=ignore) for ignore in (False, True))
KEYS = {"thought": "thought", "action": "name", "args": "args"}


def of_agent_h(text: str) -> object:
    words = WORDS[len(text) % 2]
    return agent_h.anywhere(text, words), agent_h.meant(text, words, ("search",))


def of_alfworld(text: str) -> object:
    action = alfworld.parse(text)
    assert "\n" not in action
    return alfworld.exact(action, COMMANDS), alfworld.nearest(action, COMMANDS)


def of_card_game(text: str) -> object:
    seat = Seat(Battle(IDS, IDS), 0)
    guess = card_game.read_guess(text, seat)
    moves = [card_game.read_move(text, seat, fix_infight_target=fixed) for fixed in (False, True)]
    return guess, moves


def of_dbbench(text: str) -> object:
    statement = dbbench.statement(text) or text
    several = sql.statements(statement)
    return dbbench.word(text), dbbench.final(text), several, sql.reserved(statement), list(sql.matches(text))


def of_gsm8k(text: str) -> object:
    return [gsm8k.scored(text, "so #### 4", profile) for profile in ("paper", "fixed")]


def of_hotpotqa(text: str) -> object:
    return hotpotqa.read(hotpotqa.one_line(text)), hotpotqa.read_lenient(text), balanced(text, 0)


def of_humaneval(text: str) -> object:
    programs = [humaneval.completion_program(PROBLEM, text, pad_indent=pad) for pad in (False, True)]
    return programs, humaneval.chat_program(PROBLEM, text)


def of_knowledgegraph(text: str) -> object:
    text = knowledgegraph.clean(text)
    line = knowledgegraph.action_line(text) or text
    names, _ = knowledgegraph.called(line)
    calls = [knowledgegraph.read(line, name) for name in names[:8]]
    calls += [knowledgegraph.read_names(line, name, ("Goat cheese", "a,b(c)")) for name in names[:8]]
    bare = [knowledgegraph.bare(argument) for call in calls for argument in call.arguments or ()]
    return knowledgegraph.final(text), calls, bare


def of_mind2web(text: str) -> object:
    action = mind2web.parse(text)
    assert action.letter in "ABCDEF"
    return action.place


def of_miniwob(text: str) -> object:
    assert 1 <= miniwob.steps(text, 10) <= 10
    return miniwob.parse(miniwob.cut(text))


def of_mmlu(text: str) -> object:
    reply = Reply(text)
    found = [mmlu.chosen(reply), mmlu.first_letter(reply), mmlu.read_letter(reply, ("a cat", "a dog"))]
    assert all(letter is None or letter in "ABCD" for letter in found), found
    return found


def of_mt_bench(text: str) -> object:
    return mt_bench.paper_rating(text), mt_bench.fixed_rating(text)


def of_os(text: str) -> object:
    return os_task.parse(text)


def of_rewoo(text: str) -> object:
    rewoo.read(text, "fixed", ("Wikipedia", "LLM"))
    try:
        return rewoo.read(text, "paper", ("Wikipedia", "LLM"))
    except rewoo.PlanError as refused:
        return refused


def of_sciworld(text: str) -> object:
    allowed = sciworld.candidates(COMMANDS, ("kitchen",), text)
    found = sciworld.match(text, [*allowed, *COMMANDS])
    assert len(found.action) <= sciworld.ACTION_LIMIT
    return found


def of_teval(text: str) -> object:
    for profile in ("paper", "fixed"):
        text = teval.cut(text, profile)
        teval.marked_call(text, TEMPLATE, profile)
    found = (teval.call(text, KEYS), teval.said_steps(text, ("Search.find", "Finish")))
    return found, teval.steps(text), teval.letter(text), teval.names(text)


def of_webarena(text: str) -> object:
    actions = [webarena.parse(text, lenient=lenient) for lenient in (False, True)]
    return webarena.repeated([actions[0]] * 3, 3), actions


def of_webshop(text: str) -> object:
    return [webshop.parse(text, parser) for parser in webshop.PARSERS]


TEXTS: Mapping[str, tuple[Read, tuple[str, ...]]] = {
    "agent_h": (of_agent_h, ('Thought: I need to call the "search" tool.\nAction: go',)),
    "alfworld": (of_alfworld, ("THOUGHT: so\nACTION: go to desk 1\n", "take mug")),
    "card_game": (
        of_card_game,
        (
            "{'guess_type': 'eel', 'target_position': 2}",
            '{"pick_fish": "1", "action": "normal", "target_position": "0"}',
            '{"pick_fish": "spray", "action": "active", "target_position": 3}',
        ),
    ),
    "dbbench": (
        of_dbbench,
        (
            "Action: Operation\n```sql\nSELECT `a` FROM t WHERE b = 'it''s'; -- x\n```",
            'Action: Answer\nFinal Answer: ["1", 2]',
            "CREATE PROCEDURE p() BEGIN SELECT 1; /*! RANK */ END",
        ),
    ),
    "gsm8k": (of_gsm8k, ("2 + 2 = 4. The answer is $1,004.50.", "#### -3/4")),
    "hotpotqa": (of_hotpotqa, ("Search[Ada [x] Lovelace].", "finish [yes]", "Lookup[born]")),
    "humaneval": (
        of_humaneval,
        ("    return x * 2\n\nprint(1)", "```python\ndef double(x):\n    return 2 * x\n```", "class A: pass"),
    ),
    "knowledgegraph": (
        of_knowledgegraph,
        ("Action: get_relations(Goat cheese)", "Final Answer: #3", "Action: count(variable #1, a,b(c))"),
    ),
    "mind2web": (of_mind2web, ("Answer: C.\nAction: TYPE\nValue: Paris",)),
    "miniwob": (of_miniwob, ("1. type 'hello'\\n2. clickxpath //*[@id=\"b\"]", "`press enter`")),
    "mmlu": (of_mmlu, ("The answer is **(B)**.", "not A, but C", "a dog")),
    "mt_bench": (of_mt_bench, ("Rating: [[7.5]]", "[rating] 1e3", "[[[[8]]")),
    "os": (of_os, ("Think: x\n\nAct: bash\n\n```bash\nls\n```", "Act: answer(3)", "Act: finish")),
    "rewoo": (
        of_rewoo,
        ("Plan: find\n#E1 = Wikipedia[Ada]\nPlan: ask\n#E2 = LLM[who is #E1]", "- plan 1: x\n# E 01: llm[]"),
    ),
    "sciworld": (of_sciworld, ("Action: open door to kitchen", "focus on mug in green house")),
    "teval": (
        of_teval,
        (
            '```json\n[{"name": "Search.find", "id": 1, "args": ["x"]}]\n```',
            "{'thought': 't', 'name': 'f', 'args': {'a': 1}}",
            "Thought: t\nAction: f\nArgs: {'a': 1}\n",
            "Answer: B",
        ),
    ),
    "webarena": (
        of_webarena,
        (
            "In summary, ```click [12]```",
            "```type [7] [a [b] c] [1]```",
            "```press [Control+v]```",
            "```scroll [down]```",
            "```stop [N/A]```",
            "```goto [http://a]```",
        ),
    ),
    "webshop": (of_webshop, ("Thought: t\nAction:\nsearch[red shoes]", "action: click[< Prev]")),
}
"""By task: what reads its replies, and replies in the form that it looks for."""
