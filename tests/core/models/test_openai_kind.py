"""The OpenAI protocol: what is sent, what is read, and what a chat endpoint cannot do."""

import json

import pytest
from fault_server import Behaviour, FaultServer

from harness.errors import ContextOverflow, EndpointError, MissingPart, RequestRejected, UsageError
from harness.models.api import Call, Options
from harness.models.connect import open_model
from harness.types import Ask, CallKey, Message

FAST = 1000.0  # seconds of the pool's clock in one
KEY = CallKey("gsm8k", "test/0", 0, 0)
TALK = (Message("system", "S"), Message("user", "u1"), Message("assistant", "a1"), Message("user", "u2"))


def completion(text, *, finish="stop", logprobs=None):
    return {
        "choices": [{"index": 0, "text": text, "finish_reason": finish, "logprobs": logprobs}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 3},
    }


def chat(text, *, finish="stop", logprobs=None):
    message = {"role": "assistant", "content": text}
    return {
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": logprobs}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 3},
    }


def answering(body, status=200):
    return FaultServer(info=None, default=Behaviour(status, json.dumps(body).encode()))


def asking(ask, *, raw=None, **more):
    """A call with a minute for an answer, which a loaded machine may need."""
    return Call(KEY, TALK if raw is None else (), raw, ask, **{"deadline_s": 60 * FAST} | more)


def open_at(server, selector, **more):
    return open_model(selector, endpoints=[server.url + "/v1"], options=Options(time_scale=FAST), **more)


async def test_completions_keep_our_template():
    async with (
        answering(completion("hi STOP there")) as server,
        open_at(server, "agentlm-7b@openai") as model,
    ):
        reply = await model.complete(asking(Ask(32, stop=("STOP",), prefix=" So:"), seed=5))
        assert (reply.text, reply.finish_reason) == ("hi ", "stop_sequence")
        assert (reply.prompt_tokens, reply.output_tokens) == (11, 3)
        sent = server.seen[0]
        assert sent.path == "/v1/completions"
        assert sent.data == {
            "model": "THUDM/agentlm-7b",
            "prompt": "[INST] <<SYS>>\nS\n<</SYS>>\n\nu1 [/INST] a1 </s><s>[INST] u2 [/INST] So:",
            "max_tokens": 32,
            "temperature": 0,
            "stop": ["STOP"],
            "stream": False,
        }


async def test_sampling_and_released_decoding():
    async with answering(completion("x")) as server, open_at(server, "agentlm-7b@openai") as model:
        sampled = asking(Ask(32, temperature=1.0, top_p=0.9), seed=5)
        released = {"temperature": 0.7, "do_sample": False, "truncate": 3968}
        calls = (sampled, asking(Ask(32), seed=6, decoding=released))
        replies = [(await model.complete(call)).seed for call in calls]
        first, second = (seen.data for seen in server.seen)
        assert (first["temperature"], first["top_p"], first["seed"]) == (1.0, 0.9, 5)
        assert (second["temperature"], second["seed"]) == (0.7, 6)
        assert replies == [5, 6]  # a server that does not repeat the seed


async def test_chat_leaves_the_template_to_the_server_and_notes_raw():
    async with answering(chat("hi")) as server, open_at(server, "any-name@chat") as model:
        reply = await model.complete(asking(Ask(32)))
        assert (reply.text, reply.finish_reason, reply.notes) == ("hi", "eos_token", ())
        assert server.seen[0].path == "/v1/chat/completions"
        assert server.seen[0].data["model"] == "any-name"
        assert server.seen[0].data["messages"] == [{"role": m.role, "content": m.content} for m in TALK]
        reply = await model.complete(asking(Ask(32), raw="raw \ud800 text"))
        assert reply.notes == ("raw->user",)
        assert server.seen[1].data["messages"] == [{"role": "user", "content": "raw \ufffd text"}]


async def test_tgis_own_v1_wants_the_model_name_tgi():
    async with FaultServer(default=Behaviour(body=json.dumps(chat("hi")).encode())) as server:
        async with open_at(server, "any-name@chat") as model:
            await model.complete(asking(Ask(32)))
        assert server.seen[0].data["model"] == "tgi"


async def test_chat_refuses_a_prefix():
    async with answering(chat("hi")) as server, open_at(server, "any-name@chat") as model:
        with pytest.raises(UsageError, match="@openai"):
            await model.complete(asking(Ask(32, prefix="Thought:")))
        assert not server.seen


@pytest.mark.parametrize(
    ("selector", "body"),
    [
        ("agentlm-7b@openai", completion(" B", logprobs={"top_logprobs": [{" A": -2.0, " B": -0.5}]})),
        ("agentlm-7b@openai", completion(" B", logprobs={"content": [{"top_logprobs": [
            {"token": " A", "logprob": -2.0}, {"token": " B", "logprob": -0.5}]}]})),
        ("m@chat", chat("B", logprobs={"content": [{"top_logprobs": [
            {"token": "A", "logprob": -2.0}, {"token": "B", "logprob": -0.5}]}]})),
    ],
    ids=["completions", "llama.cpp", "chat"],
)  # fmt: skip
async def test_choices_over_openai(selector, body):
    async with answering(body) as server, open_at(server, selector) as model:
        reply = await model.complete(asking(raw="Answer:", ask=Ask(1, choices=("A", "B", "C"))))
        assert (reply.method, reply.choice, reply.logprobs) == ("O", 1, (-2.0, -0.5, -100.0))
        assert "imputed:1" in reply.notes


async def test_choices_ask_for_fewer_alternatives_where_twenty_are_refused():
    refusal = {"error": {"message": "logprobs must be <= 5", "type": "invalid_request_error"}}
    good = completion(" B", logprobs={"top_logprobs": [{" B": -0.5}]})
    async with answering(good) as server, open_at(server, "agentlm-7b@openai") as model:
        server.script = [Behaviour(400, json.dumps(refusal).encode())]
        for _ in range(2):
            await model.complete(asking(raw="Answer:", ask=Ask(1, choices=("A", "B"))))
        assert [seen.data["logprobs"] for seen in server.seen] == [20, 5, 5]


LENGTHS = {
    "vllm": ("This model's maximum context length is 4096 tokens. However, you requested 5000 tokens "
             "(4900 in the messages, 100 in the completion).", "BadRequestError", 4096, 5000),
    "vllm new": ("This model's maximum context length is 4096 tokens."
                 " However, your request has 5001 input tokens.",
                 "BadRequestError", 4096, 5001),
    "sglang": ("The input (5002 tokens) is longer than the model's context length (4096 tokens).",
               "BadRequestError", 4096, 5002),
    "llama.cpp": ("the request exceeds the available context size. try increasing it",
                  "exceed_context_size_error", 0, 0),
    "llama.cpp new": ("request (5003 tokens) exceeds the available context size (4096 tokens), increase it",
                      "exceed_context_size_error", 4096, 5003),
    "openai": ("Your input is too long.", "context_length_exceeded", 0, 0),
}  # fmt: skip


@pytest.mark.parametrize(("message", "kind", "limit", "given"), LENGTHS.values(), ids=LENGTHS.keys())
async def test_length_errors_of_every_server(message, kind, limit, given):
    for body in (
        {"error": {"message": message, "type": kind}},
        {"object": "error", "message": message, "type": kind},
    ):
        async with answering(body, 400) as server, open_at(server, "m@chat") as model:
            with pytest.raises(ContextOverflow) as told:
                await model.complete(asking(Ask(32)))
            assert (told.value.limit, told.value.given) == (limit, given)


async def test_other_failures():
    async with answering({"choices": []}) as server, open_at(server, "m@chat") as model:
        with pytest.raises(EndpointError):
            await model.complete(asking(Ask(32), deadline_s=50))
        server.default = Behaviour(401, b'{"error": {"message": "bad key sk-123"}}')
        with pytest.raises(RequestRejected):
            await model.complete(asking(Ask(32)))
    async with answering(chat(None)) as server, open_at(server, "m@chat") as model:
        assert (await model.complete(asking(Ask(32)))).text == ""


async def test_api_keys_come_from_the_environment_and_are_written_nowhere(monkeypatch, tmp_path):
    models = tmp_path / "models.toml"
    models.write_text('[mine]\nkind = "chat"\nwire_name = "m"\napi_key_env = "MY_KEY"\n')
    monkeypatch.setenv("HARNESS_MODELS", str(models))
    monkeypatch.delenv("MY_KEY", raising=False)
    async with answering(chat("hi")) as server:
        with pytest.raises(MissingPart, match="export MY_KEY"):
            async with open_at(server, "mine"):
                pass
        monkeypatch.setenv("MY_KEY", "sk-very-secret")
        async with open_at(server, "mine") as model:
            await model.complete(asking(Ask(32)))
            assert server.seen[0].headers["authorization"] == "Bearer sk-very-secret"
            assert "secret" not in json.dumps(model.info) + repr(vars(model))
            server.default = Behaviour(401, b'{"error": {"message": "Incorrect API key: sk-very-secret"}}')
            with pytest.raises(RequestRejected) as told:
                await model.complete(asking(Ask(32)))
            assert "secret" not in str(told.value)
