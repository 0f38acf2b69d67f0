"""llama.cpp, transformers serve and vLLM on one tiny model: they answer what transformers computes."""

from __future__ import annotations

import os

import pytest
from asking import ask, prompts
from command import harness

from harness.errors import ContextOverflow
from harness.models.connect import open_model
from harness.types import Ask

pytestmark = [pytest.mark.full, pytest.mark.xdist_group("servers"), pytest.mark.timeout(900)]

PROMPTS, TOKENS = 100, 12
CONTEXT = 2048


def as_sent(entry, text):
    """The text as a server sends it: transformers serve loses a space at its beginning."""
    return text.lstrip(" ") if entry.kind == "transformers" else text


async def test_greedy_text_is_what_the_model_generates(entry, tiny):
    texts = prompts(PROMPTS)
    wanted = [as_sent(entry, answer["text"]) for answer in tiny.reference(texts, TOKENS)["answers"]]
    async with open_model("tiny", endpoints=[entry.url]) as model:
        got = [reply.text for reply in await ask(model, texts, Ask(TOKENS), 4)]
        again = [reply.text for reply in await ask(model, texts, Ask(TOKENS), 1)]
    equal = sum(a == b for a, b in zip(got, wanted, strict=True))
    assert equal >= 95, [pair for pair in zip(got, wanted, strict=True) if pair[0] != pair[1]][:3]
    assert got == again


async def test_a_prompt_that_does_not_fit_is_the_models_limit(entry):
    long = ["ba " * 3000]
    async with open_model("tiny", endpoints=[entry.url]) as model:
        if entry.kind == "transformers":  # it goes on beyond what the model was made for
            assert (await ask(model, long, Ask(4), 1))[0].prompt_tokens > CONTEXT
            return
        with pytest.raises(ContextOverflow):
            await ask(model, long, Ask(4), 1)


@pytest.mark.parametrize("server", ["llama", "vllm"], indirect=True)
def test_more_tokens_than_the_server_takes_are_refused_before_anything_is_sent(entry, tmp_path):
    """transformers serve does not tell how many it takes."""
    words = ["run", "--model", "its own", "--endpoint", entry.url, "--template", "chatml", "--task", "gsm8k"]
    if entry.kind == "vllm":
        words[2] = "tiny"  # it refuses other names
    done = harness(tmp_path, *words, "--mirror", "fixture", "--max-new-tokens", str(CONTEXT), "--out", "run")
    assert done.returncode == 2, done.stderr
    assert f"takes {CONTEXT} tokens in all, with the prompt" in done.stderr


async def test_a_stop_string_ends_the_text(entry, tiny):
    (answer,) = tiny.reference(prompts(1), TOKENS)["answers"]
    stop = answer["text"].strip()[4:8]
    async with open_model("tiny", endpoints=[entry.url]) as model:
        (reply,) = await ask(model, prompts(1), Ask(TOKENS, stop=(stop,)), 1)
    assert reply.text == as_sent(entry, answer["text"]).partition(stop)[0]
    assert reply.finish_reason in ("stop_sequence", "eos_token"), "the protocol has one word for both"


def test_a_run_is_measured(entry, tmp_path):
    words = ["run", "--model", "tiny", "--endpoint", entry.url, "--task", "gsm8k", "--mirror", "fixture"]
    variables = {"HARNESS_MODELS": os.environ["HARNESS_MODELS"]}
    done = harness(tmp_path, *words, "--limit", "3", "--out", "run", **variables)
    assert done.returncode == 0, done.stderr
    assert "3/3" in done.stdout
