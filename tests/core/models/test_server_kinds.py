"""What is asked is what is sampled: each kind of server is recognised and asked in its own fields."""

import json
import math

import pytest
from fault_server import Behaviour
from server_kinds import (
    ALL,
    LlamaCppLike,
    LlamaCppPythonLike,
    ServerLike,
    TransformersLike,
    VllmLike,
    exact,
    ids,
)

from harness.catalog.models import Entry
from harness.errors import ContextOverflow, RequestRejected
from harness.models.api import Call, Options
from harness.models.clients.identity import most_tokens
from harness.models.connect import open_model
from harness.models.pool.capabilities import Capabilities
from harness.types import Ask, CallKey, Message

LETTERS, SPACED = ("A", "B", "C", "D"), (" A", " B", " C", " D")
KEY = CallKey("gsm8k", "test/0", 0, 0)
TALK = (Message("user", "u1"),)


def open_at(server, selector="agentlm-7b@openai", **more):
    return open_model(selector, endpoints=[server.url], options=Options(time_scale=30, **more))


def ranked(choices):
    return Call(KEY, (), "Question\nAnswer:", Ask(1, choices=choices))


async def drawn(model, seeds=150):
    found = set()
    for seed in range(seeds):
        call = Call(KEY, (), "Go:", Ask(1, temperature=1.0), seed=seed)
        found.add((await model.complete(call)).text)
    return found


async def test_llama_cpp_draws_from_more_than_forty_tokens():
    async with LlamaCppLike() as server, open_at(server) as model:
        likely = {token.replace("▁", " ") for token in sorted(ALL, key=lambda t: -ALL[t])[:40]}
        assert await drawn(model) - likely
        sent = server.seen[0].data
        assert (sent["top_k"], sent["top_p"], sent["min_p"], sent["typical_p"]) == (0, 1.0, 0.0, 1.0)
        assert (sent["repeat_penalty"], sent["dry_multiplier"], sent["xtc_probability"]) == (1.0, 0.0, 0.0)
        assert model.info["understood"]["server"] == "llama.cpp"


@pytest.mark.parametrize("kind", [VllmLike, LlamaCppPythonLike, LlamaCppLike])
async def test_greedy_is_greedy_whatever_the_server_adds(kind):
    async with kind() as server, open_at(server) as model:
        assert (await model.complete(Call(KEY, TALK, None, Ask(4)))).text == " w0 w1 w2 w3"


def test_llama_cpp_tells_the_tokens_of_one_slot():
    row = {"id": "m", "meta": {"n_ctx": 512, "n_ctx_train": 2048}}
    for listed, most in ((row, 512), (row | {"meta": None}, 0), (row | {"max_model_len": 99}, 99)):
        able = Capabilities("openai", model_id="m", info={"data": [listed]})
        assert most_tokens(Entry("m", "openai", wire_name="m"), able) == most


async def test_what_is_asked_wins_over_the_neutral_value():
    async with VllmLike() as server, open_at(server) as model:
        await model.complete(Call(KEY, TALK, None, Ask(4, temperature=0.7, top_p=0.9), seed=3))
        sent = server.seen[0].data
        assert (sent["temperature"], sent["top_p"], sent["top_k"], sent["seed"]) == (0.7, 0.9, -1, 3)
        assert sent["repetition_penalty"] == 1.0 and sent["add_special_tokens"] is True


async def test_transformers_serve_is_known_by_its_paths_and_sent_nothing_that_it_refuses():
    async with TransformersLike() as server, open_at(server, "m@chat") as model:
        await model.complete(Call(KEY, TALK, None, Ask(4)))
        assert server.seen[0].data.keys() == {
            "model",
            "messages",
            "stream",
            "max_tokens",
            "temperature",
            "top_p",
        }
        assert model.info["understood"]["server"] == "transformers serve"
        assert "generation_config" in model.info["understood"]["unset"][0]


async def test_litellm_is_known_by_its_header_and_a_refused_field_is_sent_no_more():
    class LiteLlm(ServerLike):
        owner = "openai"

        async def answer(self, seen, reader, writer):
            if seen.path == "/v1/models":
                from fault_server import write

                how = Behaviour(headers=(("x-litellm-version", "1.80.0"),))
                return await write(writer, how, json.dumps(self.models).encode())
            return await super().answer(seen, reader, writer)

        def refusal(self, data):
            return "UnsupportedParamsError: presence_penalty" if "presence_penalty" in data else ""

    async with LiteLlm() as server, open_at(server) as model:
        for _ in range(2):
            await model.complete(Call(KEY, TALK, None, Ask(4)))
        assert ["presence_penalty" in seen.data for seen in server.seen] == [True, False, False]
        assert all("frequency_penalty" in seen.data for seen in server.seen)
        assert "it refuses presence_penalty" in model.info["understood"]["unset"]


async def test_litellm_without_its_header_is_known_by_its_page_of_health():
    class LiteLlm(ServerLike):
        owner = "openai"

    server = LiteLlm()
    server.pages["/health/liveliness"] = "I'm alive!"
    async with server, open_at(server) as model:
        assert model.info["understood"]["server"] == "LiteLLM"


async def test_an_unknown_server_gets_openais_fields_only():
    async with ServerLike() as server, open_at(server) as model:
        await model.complete(Call(KEY, TALK, None, Ask(4)))
        assert server.seen[0].data.keys() == {"model", "prompt", "stream", "max_tokens", "temperature"}
        assert "stand" in model.info["understood"]["unset"][0]


async def test_vllms_letters_are_exact_with_and_without_their_space():
    async with VllmLike() as server, open_at(server) as model:
        reply = await model.complete(ranked(SPACED))
        assert (reply.method, reply.text, reply.notes) == ("O", " B", ())
        assert reply.logprobs == pytest.approx([ALL[f"▁{x}"] for x in LETTERS], abs=2e-5)
        reply = await model.complete(ranked(LETTERS))
        assert (reply.text, reply.notes) == ("A", ())
        assert reply.logprobs == pytest.approx([exact(x) for x in LETTERS], abs=2e-5)
        assert server.seen[0].data["return_tokens_as_token_ids"] is True
        assert [seen.data["echo"] for seen in server.seen if "echo" in seen.data]  # D is not among the 20


async def test_vllm_whose_ids_cannot_be_spelt_is_asked_by_echo():
    server = VllmLike()
    server.detokenizes = False
    async with server, open_at(server) as model:
        reply = await model.complete(ranked(SPACED))
        assert (reply.method, reply.text, reply.notes) == ("P", " B", ())
        assert reply.logprobs == pytest.approx([ALL[f"▁{x}"] for x in LETTERS], abs=2e-5)


async def test_llama_cpp_is_asked_for_a_hundred_alternatives_and_then_for_more():
    async with LlamaCppLike() as server, open_at(server) as model:
        reply = await model.complete(ranked(LETTERS))
        assert (reply.method, reply.text, reply.notes) == ("O", "A", ())
        assert reply.logprobs == pytest.approx([exact(x) for x in LETTERS], abs=1e-2)
        assert [seen.data["logprobs"] for seen in server.seen] == [100, 20_000]
        server.widest = 100
        reply = await model.complete(ranked(LETTERS))
        assert reply.notes == ("imputed:1",) and reply.logprobs[3] == -100.0


@pytest.mark.parametrize("token", ["token_id:315", "a", " (", "", None])
async def test_alternatives_that_name_no_choice_are_a_failure_that_names_the_endpoint(token):
    place = {"token": "x", "top_logprobs": [{"token": token, "logprob": -0.1}]}
    body = {"choices": [{"text": "x", "logprobs": {"content": [place]}, "finish_reason": "length"}]}
    server = ServerLike(default=Behaviour(body=json.dumps(body).encode()))
    async with server, open_at(server) as model:
        with pytest.raises(RequestRejected, match=server.url):
            await model.complete(ranked(LETTERS))
        assert len(server.seen) < 5


async def test_byte_level_spelling_is_a_space():
    top = {"\u0120C": -0.5, "\u0120A": -2.0, "\u0120B": -3.0, "\u0120D": None}
    body = {"choices": [{"text": "x", "logprobs": {"top_logprobs": [top]}, "finish_reason": "length"}]}
    server = ServerLike(default=Behaviour(body=json.dumps(body).encode()))
    async with server, open_at(server) as model:
        reply = await model.complete(ranked(SPACED))
        assert (reply.text, reply.logprobs[:3]) == (" C", (-2.0, -3.0, -0.5))
        assert reply.notes == ("imputed:1",)  # null is no value


LONG = "w " * 40 + "end"


async def test_vllm_cuts_long_prompts_itself():
    async with VllmLike() as server, open_at(server) as model:
        reply = await model.complete(Call(KEY, (), LONG, Ask(2, truncate=10)))
        sent = server.seen[0].data
        assert (sent["truncate_prompt_tokens"], sent["truncation_side"]) == (10, "left")
        assert (reply.prompt_tokens, reply.notes) == (10, ())


async def test_llama_cpp_gets_the_last_tokens_of_a_long_prompt():
    async with LlamaCppLike() as server, open_at(server) as model:
        reply = await model.complete(Call(KEY, (), LONG, Ask(2, truncate=10)))
        assert server.seen[0].data["prompt"] == ids(LONG)[-10:] and reply.notes == ()
        await model.complete(Call(KEY, (), "short", Ask(2, truncate=10)))
        assert server.seen[1].data["prompt"] == "short"


async def test_the_note_appears_only_where_a_prompt_was_too_long():
    async with ServerLike() as server, open_at(server) as model:
        assert (await model.complete(Call(KEY, (), "short", Ask(2, truncate=10)))).notes == ()
        assert (await model.complete(Call(KEY, (), LONG, Ask(2, truncate=10)))).notes == (
            "truncate not sent",
        )
        words = (
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4900 in"
        )
        server.script = [Behaviour(400, json.dumps({"error": {"message": words}}).encode())]
        with pytest.raises(ContextOverflow, match="truncate not sent"):
            await model.complete(Call(KEY, (), LONG, Ask(2, truncate=10)))


def test_the_reference_is_a_distribution_of_its_own():
    assert sum(math.exp(value) for value in ALL.values()) > 1.0  # only ratios and equal values are compared
