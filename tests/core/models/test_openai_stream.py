"""OpenAI's events, wherever the network cut them: the same answer as in one piece, or another attempt."""

from __future__ import annotations

import json

import pytest
from fault_server import Behaviour, FaultServer

from harness.errors import EndpointError
from harness.models.api import Call, Options
from harness.models.connect import open_model
from harness.types import Ask, CallKey, Message

TEXT = "Grüße \u4e2d\u6587 \U0001f600 done"
CALL = Call(CallKey("gsm8k", "test/0", 0, 0), (Message("user", "hi"),), None, Ask(64), deadline_s=30_000)


def piece(kind, text, *, finish=None, thought=""):
    said = {"text": text} if kind == "openai" else {"delta": {"content": text, "reasoning_content": thought}}
    return {"choices": [{"index": 0, **said, "finish_reason": finish}]}


def stream(kind, texts=(TEXT[:3], TEXT[3:]), *, done=True):
    events = [piece(kind, text) for text in texts] + [piece(kind, "", finish="stop")]
    events += [{"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 9}}]
    body = b": ping\n\n" + b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in events)
    return body + (b"data: [DONE]\n\n" if done else b"")


def open_at(server, kind):
    options = Options(stream=True, time_scale=1000, read_s=5)
    selector = {"openai": "agentlm-7b@openai", "chat": "m@chat"}[kind]
    return open_model(selector, endpoints=[server.url], options=options)


def answering(body, **more):
    return FaultServer(info=None, default=Behaviour(body=body, content_type="text/event-stream", **more))


@pytest.mark.parametrize("kind", ["openai", "chat"])
@pytest.mark.parametrize("done", [True, False], ids=["with [DONE]", "without"])
async def test_a_stream_split_at_every_byte_reads_the_same(kind, done):
    async with answering(stream(kind, done=done), pieces=1) as server, open_at(server, kind) as model:
        reply = await model.complete(CALL)
        assert (reply.text, reply.finish_reason) == (TEXT, "eos_token")
        assert (reply.prompt_tokens, reply.output_tokens, reply.attempts) == (11, 9, 1)
        sent = server.seen[0].data
        assert (sent["stream"], sent["stream_options"]) == (True, {"include_usage": True})


@pytest.mark.parametrize("kind", ["openai", "chat"])
async def test_a_stream_cut_before_its_reason_to_end_is_started_anew(kind):
    body = stream(kind)
    told = body.index(b'"stop"')  # the reason to end is in from the end of this event on
    complete = body.index(b"}]}", told) + 3
    async with answering(body) as server, open_at(server, kind) as model:
        for cut in [*range(0, len(body), 11), complete - 1, complete, complete + 1]:
            server.script = [Behaviour(body=body, content_type="text/event-stream", cut=cut)]
            reply = await model.complete(CALL)
            assert reply.text == TEXT
            assert reply.attempts == (1 if cut >= complete else 2), cut


async def test_an_endless_stream_is_no_answer():
    texts = ["x"] * 300
    async with answering(stream("chat", texts)) as server, open_at(server, "chat") as model:
        with pytest.raises(EndpointError, match="events for 64 tokens"):
            await model.complete(Call(CALL.key, CALL.messages, None, Ask(64), deadline_s=100))


async def test_a_server_that_does_not_stream_is_read_whole():
    message = {"message": {"content": TEXT}, "finish_reason": "stop"}
    body = json.dumps({"choices": [message]}).encode()
    async with (
        FaultServer(info=None, default=Behaviour(body=body)) as server,
        open_at(server, "chat") as model,
    ):
        assert (await model.complete(CALL)).text == TEXT
