"""`hf:PATH`: a tiny Llama with a tokenizer trained here, behind the protocol, through our own client."""

import asyncio

import pytest
from tiny_model import write_tiny

from harness.errors import ContextOverflow, MissingPart
from harness.models.api import Call, Options
from harness.models.connect import open_model
from harness.types import Ask, CallKey, Message

KEY = CallKey("gsm8k", "test/0", 0, 0)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("tiny"))


def call(**more):
    ask = more.pop("ask", Ask(12))
    return Call(KEY, (Message("user", "how many apples?"),), None, ask, **more)


async def test_it_answers_greedily_and_alike_streamed_and_not(tiny):
    async with open_model(f"hf:{tiny}") as model:
        assert model.render((Message("user", "x"),)) == "[INST] x [/INST]"  # the server adds BOS
        first, again = await model.complete(call()), await model.complete(call())
        assert first.text == again.text and first.output_tokens in range(1, 13) and first.prompt_tokens > 3
        assert first.prompt_tokens == await model.count("[INST] how many apples? [/INST]")
    async with open_model(f"hf:{tiny}", options=Options(stream=True)) as model:
        assert (await model.complete(call())).text == first.text


async def test_sampling_follows_its_seed(tiny):
    async with open_model(f"hf:{tiny}") as model:
        ask = Ask(12, temperature=1.0, top_p=0.9)
        texts = [(await model.complete(call(ask=ask, seed=seed))).text for seed in (1, 1, 2)]
        assert texts[0] == texts[1] != texts[2]


async def test_it_ranks_choices_by_a_mask_and_by_the_prompts_own_numbers(tiny):
    choices, found = (" A", " B", " C", " D"), {}
    for method in ("", "G", "P"):
        async with open_model(f"hf:{tiny}", options=Options(choice_method=method)) as model:
            reply = await model.complete(Call(KEY, (), "Question\nAnswer:", Ask(1, choices=choices)))
            found[method] = reply
    assert found[""].method == "G" and found[""].logprobs == found["G"].logprobs
    assert found["P"].choice == found["G"].choice
    spread = [g - p for g, p in zip(found["G"].logprobs, found["P"].logprobs, strict=True)]
    assert max(spread) - min(spread) < 1e-3  # the mask only normalises


async def test_it_refuses_what_does_not_fit_and_stops_where_it_should(tiny):
    async with open_model(f"hf:{tiny}") as model:
        with pytest.raises(ContextOverflow) as told:
            await model.complete(call(ask=Ask(500)))
        assert told.value.limit == 128
        text = (await model.complete(call())).text
        stop = text[4:6]
        reply = await model.complete(call(ask=Ask(12, stop=(stop,))))
        assert reply.text == text[: text.index(stop)] and reply.finish_reason == "stop_sequence"


async def test_cancelling_stops_the_generation(tiny):
    async with open_model(f"hf:{tiny}") as model:
        task = asyncio.create_task(model.complete(call(ask=Ask(100))))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await model.complete(call())).text


async def test_what_is_missing_is_said(tmp_path):
    pytest.importorskip("torch")
    with pytest.raises(MissingPart, match="cannot be loaded"):
        async with open_model(f"hf:{tmp_path}"):
            pass


async def test_without_torch_the_extra_is_named(monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "torch" else real(name, *a)
    )
    with pytest.raises(MissingPart, match=r"agenttuning-harness\[local\]"):
        async with open_model("hf:some/model"):
            pass
