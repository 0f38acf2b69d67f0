"""ReWOO's calculator against hostile expressions, the tool model, and the stand-ins."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ContextOverflow, InfraError
from harness.types import Ask, Message, Reply
from tasks._shared.recorded import Answers
from tasks._shared.wiki.corpus import Corpus
from tasks.rewoo.action import NOTHING
from tasks.rewoo.tools.base import ToolError
from tasks.rewoo.tools.calculator import Calculator, DirectCalculator, answer, evaluate
from tasks.rewoo.tools.model import LLM, Model
from tasks.rewoo.tools.speech import CHUNK, Speech, split
from tasks.rewoo.tools.wikipedia import Wikipedia


class Scripted:
    """An auxiliary model that answers from a table and remembers what it was asked."""

    def __init__(self, text: str = "an answer\n", error: Exception | None = None) -> None:
        self.text, self.error = text, error
        self.asked: list[tuple[str, tuple[Message, ...] | str, Ask]] = []

    async def ask(self, key: str, messages: tuple[Message, ...] | str, ask: Ask) -> Reply:
        self.asked.append((key, messages, ask))
        if self.error:
            raise self.error
        return Reply(self.text)


# -- the calculator


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("37593 * 67", "2518731"),
        ("37593**(1/5)", "8.222831614237718"),
        ("3 * 0.1", "0.30000000000000004"),
        ("5 > 3", "True"),
        ("2^3", "1"),
        (" (2 * 37 - 10) - 8\n", "56"),
        ("pi * 2", "6.283185307179586"),
        ("sqrt(16)", "4.0"),
        ("10 % 4", "2"),
        ("10//3", "3"),
        ("-7 // 2", "-4"),
        ("7.5//2", "3.0"),
        ("1 << 4", "16"),
    ],
)
def test_arithmetic_is_numexprs(expression: str, value: str):
    assert evaluate(expression) == value


HOSTILE = [
    "9**9**9",
    "9**9**9**9**9",
    "(10**10)**(10**10)",
    "(9**99)**99",
    "1<<10**9",
    "1<<(1<<9)<<99999999",
    "2**2**2**2**2**2",
    "9**9.0**9",
    "__import__('os').system('true')",
    "().__class__.__base__.__subclasses__()",
    "open('/etc/passwd')",
    "[x for x in range(9)]",
    "lambda: 0",
    "'a' * 10**9",
    "x",
    "pi.real",
    "evaluate(1)",
    "sqrt(x=1)",
    "1,200 * 3",
    "12 apples",
    "1 +",
    "",
    "1; 2",
    "1\n2",
    "\0",
    "\ud800",
    "1+" * 99 + "1",
    "-" * 190 + "1",
    "1" * 201,
    "9" * 10_000_000,
    "1 if 1 else 2",
    "1j",
    "1/0",
    "1e999",
    "2**64",
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("expression", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_expressions_are_refused(expression: str):
    with pytest.raises(ToolError):
        evaluate(expression)


@given(st.text(alphabet=list("0123456789.+-*/%^<>()&|~ epiqrtsn"), max_size=60))
def test_no_expression_does_anything_but_answer_or_refuse(expression: str):
    with suppress(ToolError):
        assert isinstance(evaluate(expression), str)


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.integers(1, 999))
def test_integers_come_out_exactly(a: int, b: int, c: int):
    assert evaluate(f"({a} + {b}) * {c}") == str((a + b) * c)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("```text\n37 * 2\n```\n...numexpr.evaluate(...)...\n", "74"),
        ("\n```text 1+1 ``` Answer: 9", "2"),
        ("Answer: 42", "42"),
        ("It is so. Answer: 1 Answer: 2 ", "2"),
        ("Answer: 3 Answer: 4", "3  4"),
    ],
)
def test_the_translators_text_is_read_as_upstream(written: str, value: str):
    assert answer(written) == value


@pytest.mark.parametrize("written", ["", "42", "Then ```text\n1\n```", "```text\nx apples\n```"])
def test_a_translator_without_expression_fails_the_tool(written: str):
    with pytest.raises(ToolError):
        answer(written)


async def test_calculator_asks_raw_with_its_stop_and_direct_asks_nobody():
    chat = Scripted("```text\n2 * 21\n```")
    found = await Calculator(Model(Answers("live")), "Q: {question}\n").use("k", "twice {question}?", chat)
    assert (found.text, found.source) == ("42", "live")
    assert chat.asked == [("k", "Q: twice {question}?\n", Ask(max_new_tokens=256, stop=("```output",)))]
    assert (await DirectCalculator().use("k", "6*7", None)).text == "42"
    assert (await DirectCalculator().use("k", "[7] * [ -1,000.5 ] + 2", None)).text == "-7001.5"
    with pytest.raises(ToolError):
        await DirectCalculator().use("k", "[seven] * [7]", None)


# -- the model


async def test_llm_sends_the_template_and_strips_newlines():
    chat = Scripted("\nParis \n\n")
    found = await LLM(Model(Answers("live")), "Be short.\n\n{request}").use("q/0/#E1", "Where?", chat)
    assert (found.text, found.source, found.missed) == ("Paris ", "live", False)
    assert chat.asked[0][:2] == ("q/0/#E1", (Message("user", "Be short.\n\nWhere?"),))


async def test_a_prompt_too_long_fails_the_tool_and_a_failing_role_the_machinery():
    for error, raised in ((ContextOverflow("x"), ToolError), (InfraError("x"), InfraError)):
        with pytest.raises(raised):
            await LLM(Model(Answers("live")), "{request}").use("k", "x", Scripted(error=error))


async def test_model_answers_are_recorded_and_replayed_without_a_model(tmp_path: Path):
    path = tmp_path / "x.sqlite"
    answers = Answers("record", path)
    llm, chat = LLM(Model(answers), "{request}"), Scripted("Paris")
    assert [(await llm.use(key, "Where?", chat)).text for key in ("a", "b")] == ["Paris", "Paris"]
    assert len(chat.asked) == 1
    answers.close()
    answers = Answers("replay", path)
    found = await LLM(Model(answers), "{request}").use("c", "Where?", None)
    assert (found.text, found.source, found.missed) == ("Paris", "replay", False)
    missed = await LLM(Model(answers), "{request}").use("c", "Who?", None)
    assert (missed.text, missed.missed) == (NOTHING, True)
    asked = await LLM(Model(answers), "{request}").use("c", "Who?", Scripted("Nobody"))
    assert (asked.text, asked.source, asked.missed) == ("Nobody", "live", False)
    answers.close()


async def test_a_cache_never_serves_one_models_answers_to_another(tmp_path: Path):
    answers = Answers("cache", tmp_path / "x.sqlite")
    said = [(await LLM(Model(answers), "{request}").use("k", "x", Scripted(t))).text for t in ("one", "two")]
    assert said == ["one", "two"]
    answers.close()


# -- the speech and the wiki


def test_chunks_hold_the_whole_text_in_order():
    text = "\n\n".join(["A short one.", "word " * 300, "x" * 2500, "Last."])
    chunks = split(text)
    assert max(map(len, chunks)) <= CHUNK
    assert "".join("".join(chunks).split()) == "".join(text.split())


def test_the_best_chunk_is_found_and_there_always_is_one():
    speech = Speech(
        "\n\n".join([f"Nothing here {n}. " + "pad " * 200 for n in range(3)] + ["The pier gets a rope hall."])
    )
    assert "rope hall" in speech.best('ropes? at the PIER" OR')
    assert speech.best("???").startswith("Nothing here 0")
    speech.close()


def test_the_speech_makes_46_chunks(mirror: Path):
    assert len(split((mirror / "rewoo/data/docs/state_of_the_union.txt").read_text())) == 46


@pytest.mark.parametrize("cut", [False, True])
async def test_long_queries_fail_wikipedia_unless_cut(cut: bool):
    wiki = Wikipedia(Corpus([("Tern", "A village.\nBy a lake.")]), cut=cut)
    assert (await wiki.use("k", "Tern", None)).text == "A village.\nBy a lake."
    assert (await wiki.use("k", "Heron", None)).text == "Could not find [Heron]. Similar: []"
    if cut:
        assert (await wiki.use("k", "x " * 300, None)).text.startswith("Could not find")
    else:
        with pytest.raises(ToolError):
            await wiki.use("k", "x " * 300, None)
    with pytest.raises(ToolError):
        await wiki.use("k", " ", None)
