"""Letters and draws of real servers against the log-probabilities that transformers computes."""

from __future__ import annotations

import math

import pytest
from asking import ask, prompts

from harness.models.connect import open_model
from harness.types import Ask

pytestmark = [pytest.mark.full, pytest.mark.xdist_group("servers"), pytest.mark.timeout(900)]

LETTERS = ("A", "B", "C", "D")
SPACED = tuple(f" {letter}" for letter in LETTERS)
TOLERANCE = {"vllm": 2e-5, "llama": 1e-2}
"""llama.cpp keeps keys and values in 16 bits."""

QUESTIONS, DRAWS, TOP_K = 20, 150, 40


EXACT = pytest.mark.parametrize("server", ["llama", "vllm"], indirect=True)
"""Servers that give log-probabilities and draw at a temperature; transformers serve does neither."""


def joined(*values):
    return math.log(sum(math.exp(value) for value in values))


def names(letter, served, choices):
    """The tokens that write a choice; llama.cpp lists its byte among them, vLLM is asked for texts only."""
    if choices is SPACED:
        return (f"▁{letter}",)
    return (f"▁{letter}", letter, *((f"<0x{ord(letter):02X}>",) if served.kind == "llama" else ()))


@EXACT
@pytest.mark.parametrize("choices", [LETTERS, SPACED], ids=["bare or spaced", "spaced"])
async def test_letters_have_the_models_own_log_probabilities(entry, tiny, choices):
    texts = [f"{text}\nAnswer:" for text in prompts(QUESTIONS)]
    found = tiny.reference(texts, 1)
    ids = {spelling: number for number, spelling in enumerate(found["vocabulary"])}
    async with open_model("tiny", endpoints=[entry.url]) as model:
        replies = await ask(model, texts, Ask(1, choices=choices), 4)
    for reply, answer in zip(replies, found["answers"], strict=True):
        wanted = [
            joined(*(answer["logprobs"][ids[name]] for name in names(letter, entry, choices)))
            for letter in LETTERS
        ]
        assert not any(note.startswith("imputed") for note in reply.notes)
        assert reply.logprobs == pytest.approx(wanted, abs=TOLERANCE[entry.kind])
        assert reply.choice == max(range(4), key=wanted.__getitem__)


@EXACT
async def test_draws_come_from_the_whole_vocabulary(entry, tiny):
    (text,) = prompts(1)
    found = tiny.reference([text], 1)
    (answer,) = found["answers"]
    order = sorted(range(len(found["vocabulary"])), key=answer["logprobs"].__getitem__, reverse=True)
    likely = {found["vocabulary"][number].replace("▁", " ") for number in order[:TOP_K]}
    outside = 1.0 - sum(math.exp(answer["logprobs"][number]) for number in order[:TOP_K])
    assert outside > 0.1, "the model must be flat enough for this test"
    async with open_model("tiny", endpoints=[entry.url]) as model:
        replies = await ask(model, [text] * DRAWS, Ask(1, temperature=1.0), 4)
        again = await ask(model, [text] * DRAWS, Ask(1, temperature=1.0), 4)
    left = sum(reply.text not in likely for reply in replies) / DRAWS
    spread = 4 * math.sqrt(outside * (1 - outside) / DRAWS)
    assert abs(left - outside) < spread, "a draw is from the model's own probabilities"
    assert [reply.text for reply in replies] == [reply.text for reply in again], "a seed repeats its draw"


@pytest.mark.parametrize("server", ["transformers"], indirect=True)
async def test_transformers_serve_says_the_same_whatever_the_temperature_and_the_seed(entry):
    async with open_model("tiny", endpoints=[entry.url]) as model:
        hot = await ask(model, prompts(1) * 8, Ask(8, temperature=2.0), 4)
        (cold,) = await ask(model, prompts(1), Ask(8), 1)
    assert {reply.text for reply in hot} == {cold.text}
