"""Every parser of model text takes time in proportion to the text, whatever the text is."""

from __future__ import annotations

import asyncio
import gc
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import linear_regression

import pytest
from hostile_texts import COMMON, WORST, Worst, built

from harness.authoring import answers
from harness.catalog import registry
from harness.models.clients import reasoning
from harness.types import Reply
from tasks._shared import numerals, reading
from tasks._shared.sandbox import terminal_text
from tasks.agent_h import action as agent_h
from tasks.alfworld import action as alfworld
from tasks.card_game import action as card_game
from tasks.card_game.battle import IDS, Battle
from tasks.card_game.seat import Seat
from tasks.dbbench import action as dbbench_action
from tasks.dbbench import output, sql
from tasks.dbbench import score as dbbench
from tasks.gsm8k import score as gsm8k
from tasks.hotpotqa import action as hotpotqa
from tasks.hotpotqa import score as hotpotqa_score
from tasks.humaneval import action as humaneval
from tasks.knowledgegraph import action as knowledgegraph
from tasks.mind2web import action as mind2web
from tasks.mind2web import score as mind2web_score
from tasks.miniwob import action as miniwob
from tasks.miniwob.prompts import MiniWobPrompts
from tasks.mmlu import action as mmlu
from tasks.mt_bench import score as mt_bench
from tasks.os import action as os_action
from tasks.os import score as os_score
from tasks.rewoo import action as rewoo_action
from tasks.rewoo import execute
from tasks.rewoo import prompts as rewoo_prompts
from tasks.rewoo import score as rewoo
from tasks.rewoo.tools import base, calculator, equations, speech
from tasks.sciworld import action as sciworld
from tasks.teval import action as teval
from tasks.webarena import action as webarena
from tasks.webarena import helpers as webarena_helpers
from tasks.webarena import rows as webarena_rows
from tasks.webarena import score as webarena_score
from tasks.webarena import sites as webarena_sites
from tasks.webshop import action as webshop
from tasks.webshop import analysis as webshop_analysis

SIZES = (8 << 10, 16 << 10, 32 << 10, 64 << 10)
"""Characters of a text; the loop cuts every reply at the last."""

LARGER = (64 << 10, 128 << 10, 256 << 10)
"""Sizes at which a parser that looks steep is measured again: noise and caches matter less there."""

INSTANT_S = 0.01
"""A parser this quick at 64 KB is not looked at further: squares take longer, and its clock is noise."""

LONG_S = 0.5
"""After a size that takes as long the larger ones need not be tried; no linear parser is near it."""

STEEP = 1.5
"""Least slope of log time over log size that counts as more than linear."""

CLEAR = 1.25
"""A slope below it needs no second measurement: a square would have to look half as slow as it is."""

PATTERNS = MiniWobPrompts(Path(__file__).parents[2] / "tasks" / "miniwob" / "fixture").patterns
COMMANDS = [
    f"{verb} {thing} {n}" for verb in ("go to", "take apple from") for thing in "abc" for n in range(9)
]
PROBLEM = {"prompt": "def half(x):\n", "entry_point": "half", "test": ""}
MASS = "Can be one of ['59 N', '5 m', '5 kg m']"
SPEECH = speech.Speech("We meet today. " * 200)
TOOLS = ("LLM", "Calculator")
WEB_SITES = webarena_sites.SiteMap(
    {name: f"http://127.0.0.1:{9000 + n}" for n, name in enumerate(webarena_sites.SITES)}
)
WEB_ROW = webarena_rows.ArenaRow(0, (), (), (), "", 0, ("string_match",), include=("0",))
T_EVAL_KEYS = {"thought": "t", "action": "a", "args": "x"}
T_EVAL_MARKS = {
    **{"thought_start": "T:", "thought_end": "\n", "action_start": "A:", "action_end": "\n"},
    **{"args_start": "X:", "args_end": "#"},
}
SEAT = Seat(Battle(IDS, IDS), 0)


def instruction(text: str) -> object:
    found = miniwob.cut(text)
    return miniwob.accepted(found, PATTERNS), miniwob.parse(found), miniwob.steps(text, 30)


def called(text: str) -> object:
    """Read the line that the text stands on as the episode does, whichever options it follows."""
    text = knowledgegraph.clean(text)
    line = knowledgegraph.action_line(text) or f"Action: count({text}"
    names, last = knowledgegraph.called(line)
    readers = [knowledgegraph.read(line, "count"), knowledgegraph.read_names(line, "count", ("a", "a, b"))]
    arguments = [knowledgegraph.bare(one) for call in readers for one in call.arguments or ()]
    return knowledgegraph.final(text), names, last, arguments


def worked(grammar: rewoo_action.Grammar) -> Callable[[str], object]:
    """Read a plan, run it with a tool that says nothing, and write what the solver reads."""

    async def use(call: rewoo_action.Call, text: str) -> base.Evidence:
        return base.Evidence("", "live")

    def work(text: str) -> object:
        try:
            found = rewoo_action.read(text, grammar, TOOLS)
        except rewoo_action.PlanError:
            return None
        rules = execute.ExecutionRules(grammar, frozenset(TOOLS), 16, parallel=False)
        return rewoo_prompts.worker_log(found, asyncio.run(execute.execute(found, use, rules)).evidence)

    return work


def watched(text: str) -> object:
    """Watch a stream of small pieces for a stop string of the answer, as long as none is confirmed."""
    watch = reasoning.StopWatch(("STOP", "</think>x"))
    return any(watch.confirms(text) for at in range(0, len(text), 4) if watch.sees(text[at : at + 4]))


def quiet(parse: Callable[[str], object], *errors: type[Exception]) -> Callable[[str], object]:
    def parsed(text: str) -> object:
        try:
            return parse(text)
        except errors:
            return None

    return parsed


PARSERS: dict[str, Callable[[str], object]] = {
    "agent_h": lambda text: agent_h.meant(text, agent_h.keywords(ignore_case=True), ("get_time",)),
    "alfworld": lambda text: alfworld.nearest(alfworld.parse(text), COMMANDS),
    "card_game.guess": lambda text: card_game.read_guess(text, SEAT),
    "card_game.move": lambda text: card_game.read_move(text, SEAT, fix_infight_target=True),
    "dbbench.action": dbbench_action.word,
    "dbbench.statement": dbbench_action.statement,
    "dbbench.final": dbbench_action.final,
    "dbbench.judge": lambda text: [dbbench.judge(text, labels) for labels in (["a"], ["1"], ["a", "b"])],
    "dbbench.statements": sql.statements,
    "dbbench.reserved": sql.reserved,
    "dbbench.position": lambda text: output.error(1055, "'t.z' isn't in GROUP BY", None, text),
    "dbbench.ungrouped": lambda text: output.error(1140, "mixing", None, text),
    "_shared.numerals": lambda text: list(numerals.numerals(numerals.tidy(text))),
    "gsm8k": lambda text: gsm8k.scored(text, "#### 5", "fixed"),
    "hotpotqa.action": lambda text: hotpotqa.read_lenient(hotpotqa.one_line(text)),
    "hotpotqa.answer": lambda text: hotpotqa_score.value(text, "a b"),
    "hotpotqa.careful": lambda text: hotpotqa_score.careful_f1(text, "a b"),
    "humaneval.completion": lambda text: humaneval.completion_program(PROBLEM, text, pad_indent=True),
    "humaneval.chat": lambda text: humaneval.chat_program(PROBLEM, text),
    "knowledgegraph": called,
    "mind2web": lambda text: mind2web_score.f1(mind2web.parse(text).text, "TYPE a b"),
    "miniwob": instruction,
    "mmlu": lambda text: [read(Reply(text)) for read in (mmlu.chosen, mmlu.first_letter, mmlu.read_letter)],
    "mt_bench.paper": mt_bench.paper_rating,
    "mt_bench.fixed": mt_bench.fixed_rating,
    "os.action": os_action.parse,
    "os.graders": lambda text: [os_score.grade(g, [text, "5"], careful=True) for g in os_score.GRADERS],
    "rewoo.paper": worked("paper"),
    "rewoo.fixed": worked("fixed"),
    "rewoo.quantity": lambda text: rewoo.rule("physics_question", text, MASS),
    "rewoo.number": lambda text: rewoo.rule("gsm8k", text, "5"),
    "rewoo.label": lambda text: rewoo.rule("strategy_qa", text, "Yes"),
    "rewoo.unbracketed": calculator.unbracketed,
    "rewoo.names": lambda text: rewoo.rule("trivia_qa", text, "a", ("b", "c")),
    "rewoo.words": lambda text: rewoo.rule("hotpot_qa", text, "a b"),
    "rewoo.verdict": rewoo.verdict_fixed,
    "rewoo.calculator": quiet(calculator.answer, base.ToolError),
    "rewoo.algebra": quiet(equations.solve, equations.CannotSolve),
    "rewoo.speech": SPEECH.best,
    "sciworld": lambda text: sciworld.match(text, COMMANDS),
    "teval.cut": lambda text: [teval.cut(text, profile) for profile in ("paper", "fixed")],
    "teval.load": lambda text: [teval.call(text, T_EVAL_KEYS), teval.steps(text)],
    "teval.fields": lambda text: teval.marked_call(text, T_EVAL_MARKS, "paper"),
    "teval.steps": lambda text: teval.said_steps(text, ("A.a", "A.ab", "B.b")),
    "teval.name": lambda text: [teval.names(text), teval.letter(text)],
    "webarena.action": lambda text: webarena.parse(f"```{text}```", WEB_SITES.resolved),
    "webarena.reply": lambda text: webarena.parse(text, lenient=True),
    "webarena.verbs": lambda text: [
        webarena.parse(f"```{v} [1] [{text}```") for v in ("type", "press", "goto")
    ],
    "webarena.answer": lambda text: webarena_score.answered(WEB_ROW, text, "v2024"),
    "webarena.url": lambda text: webarena_helpers.post_url(WEB_SITES.shown(text)),
    "webshop.action": lambda text: [webshop.parse(text, parser) for parser in webshop.PARSERS],
    "webshop.terms": lambda text: list(webshop_analysis.terms(text)),
    "_shared.thought": lambda text: [reasoning.parts(text, opened=opened) for opened in (False, True, None)],
    "_shared.stops": watched,
    "_shared.balanced": lambda text: reading.balanced(text, 0),
    "_shared.normalize": answers.normalize,
    "_shared.clean": terminal_text.clean,
    "_shared.command_lines": terminal_text.command_lines,
}


def cpu_seconds(parse: Callable[[str], object], text: str) -> float:
    """CPU time of one call."""
    start = time.process_time()
    parse(text)
    return time.process_time() - start


def slope(parse: Callable[[str], object], worst: Worst) -> float:
    """How fast the time grows: 1 where it is in proportion to the text, 2 where it is to its square."""
    steep, slowest = measured(parse, worst, SIZES)
    if steep < STEEP or slowest > LONG_S:
        return steep
    return measured(parse, worst, LARGER)[0]


def measured(parse: Callable[[str], object], worst: Worst, sizes: Sequence[int]) -> tuple[float, float]:
    """The slope over the last three sizes, and the time of the largest that was tried."""
    if (once := cpu_seconds(parse, built(worst, sizes[-1]))) < INSTANT_S:
        return 0.0, once
    best: dict[int, float] = {}
    steep = 0.0
    for tries in range(1, 9):  # other processes disturb measurements; the quickest of each size counts
        for size in sizes:
            best[size] = min(best.get(size, math.inf), cpu_seconds(parse, built(worst, size)))
            if best[size] > LONG_S and len(best) > 1:
                break
        if best.get(sizes[-1], math.inf) < INSTANT_S:
            return 0.0, best[sizes[-1]]
        times = list(best.items())[-3:]
        steep = linear_regression([math.log(n) for n, _ in times], [math.log(t) for _, t in times]).slope
        if steep < CLEAR or (steep < STEEP and tries >= 3):
            break
    return steep, max(best.values())


@pytest.mark.parametrize("name", PARSERS)
def test_time_grows_with_the_text_and_not_with_its_square(name: str):
    gc.disable()
    try:
        slopes = {
            worst if isinstance(worst, str | tuple) else built(worst, 60): slope(PARSERS[name], worst)
            for worst in (*COMMON, *WORST[name])
        }
    finally:
        gc.enable()
    assert {worst: steep for worst, steep in slopes.items() if steep >= STEEP} == {}


def test_every_task_is_measured():
    assert set(registry.names()) <= {name.partition(".")[0] for name in PARSERS}


def test_a_square_is_found():
    assert slope(lambda text: sum(len(text[at:]) for at in range(0, len(text), 2)), "a") > STEEP
    assert slope(lambda text: [char for char in text], "a") < STEEP
