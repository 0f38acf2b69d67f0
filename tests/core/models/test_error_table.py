"""Every row of the error table: what is retried, what is the model's, what is final."""

import asyncio

import pytest
from fault_server import TEXT, Behaviour, FaultServer, error

from harness.errors import ContextOverflow, EndpointError, InfraError, RequestRejected
from harness.models.api import Call, Options
from harness.models.connect import open_model
from harness.types import Ask, CallKey, Message

HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
FAST = 1000.0  # seconds of the pool's clock in one


def call(**more):
    more.setdefault("deadline_s", 30_000)  # half a minute of a clock 1000 times faster
    ask = more.pop("ask", Ask(64))
    key = CallKey("gsm8k", more.pop("sample", "test/0"), 0, more.pop("number", 0))
    return Call(key, (Message("user", "hello"),), None, ask, **more)


def open_at(*servers, stream=False, read_s=0.3, **more):
    options = Options(stream=stream, time_scale=FAST, read_s=read_s, template="agentlm", **more)
    return open_model("agentlm-7b", endpoints=[server.url for server in servers], options=options)


RETRIED = {
    "429": error(429, "Model is overloaded", "overloaded"),
    "424": error(424, "Request failed during generation", "generation"),
    "500 incomplete": error(500, "Incomplete generation", "incomplete_generation"),
    "502 html": Behaviour(502, HTML, "text/html"),
    "503": error(503, "unhealthy", "healthcheck"),
    "503 text": Behaviour(503, b"no healthy upstream", "text/plain"),
    "504 html": Behaviour(504, HTML, "text/html"),
    "408": Behaviour(408, b"", "text/plain"),
    "200 html": Behaviour(200, HTML, "text/html"),
    "200 without text": Behaviour(200, b'{"details": null}'),
    "200 empty": Behaviour(200, b""),
    "dropped at connect": Behaviour(drop="connect"),
    "dropped after headers": Behaviour(drop="headers"),
    "dropped in body": Behaviour(drop="body"),
    "stall before headers": Behaviour(stall="headers"),
    "stall in body": Behaviour(stall="body"),
}
IN_STREAM = {
    "overloaded": error(200, "Model is overloaded", "overloaded", stream=True),
    "generation": error(200, "Request failed", "generation", stream=True),
    "incomplete": error(200, "Incomplete generation stream", "incomplete_generation_stream", stream=True),
    "serialization": error(200, "x", "stream_serialization_error", stream=True),
    "unknown type": error(200, "x", "something_new", stream=True),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", [*RETRIED.values(), *IN_STREAM.values()], ids=[*RETRIED, *IN_STREAM])
async def test_passing_faults_are_retried(fault, stream):
    async with FaultServer(script=[fault, fault]) as server, open_at(server, stream=stream) as model:
        reply = await model.complete(call())
        # The first request finds the connection of the survey; dropped there, it is sent again at once.
        attempts = 2 if fault is RETRIED["dropped at connect"] else 3
        assert (reply.text, reply.attempts, len(server.seen)) == (TEXT, attempts, 3)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", RETRIED.values(), ids=RETRIED.keys())
async def test_faults_for_good_end_at_the_deadline_as_infrastructure(fault, stream):
    async with FaultServer(default=fault) as server, open_at(server, stream=stream, read_s=0.03) as model:
        with pytest.raises(EndpointError, match="no answer within 100 s") as told:
            await model.complete(call(deadline_s=100))
        assert isinstance(told.value, InfraError)


SUM = "`inputs` tokens + `max_new_tokens` must be"
LONG = {
    "sum": (f"{SUM} <= 4096. Given: 4000 `inputs` tokens and 200 `max_new_tokens`", 4096, 4200),
    "inputs": ("`inputs` must have less than 4095 tokens. Given: 5000", 4095, 5000),
    "prefixed": ("Input validation error: `inputs` must have less than 1024 tokens. Given: 1025", 1024, 1025),
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("message", "limit", "given"), LONG.values(), ids=LONG.keys())
async def test_length_is_the_models_failure_and_never_retried(message, limit, given, stream):
    for inside in (False, True):
        fault = error(422, message, "validation", stream=inside)
        async with FaultServer(default=fault) as server, open_at(server, stream=stream) as model:
            with pytest.raises(ContextOverflow) as told:
                await model.complete(call())
            assert (told.value.limit, told.value.given, len(server.seen)) == (limit, given, 1)
            assert not isinstance(told.value, InfraError)


REJECTED = {
    "422 plain text": Behaviour(422, b"Failed to deserialize the JSON body: missing field", "text/plain"),
    "422 validation": error(
        422, "Input validation error: `temperature` must be strictly positive", "validation"
    ),
    "422 template": error(422, "Template error: x", "template_error"),
    "422 tool": error(422, "Tool error: x", "tool_error"),
    "400": Behaviour(400, b"bad", "text/plain"),
    "401": Behaviour(401, b'{"error":"Unauthorized"}'),
    "404": Behaviour(404, b"", "text/plain"),
    "415": Behaviour(415, b"Expected request with `Content-Type: application/json`", "text/plain"),
    "301": Behaviour(301, b"", "text/plain", headers=(("Location", "/elsewhere"),)),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", REJECTED.values(), ids=REJECTED.keys())
async def test_refusals_are_final(fault, stream):
    async with FaultServer(default=fault) as server, open_at(server, stream=stream) as model:
        with pytest.raises(RequestRejected):
            await model.complete(call())
        assert len(server.seen) == 1


async def test_missing_details_cost_nothing_but_the_counts():
    async with FaultServer(default=Behaviour(details=False)) as server:
        for stream in (False, True):
            async with open_at(server, stream=stream) as model:
                assert (await model.complete(call())).text == TEXT


async def test_lone_surrogates_and_infinities_are_read():
    body = b'{"generated_text": "a\\ud800b", "details": {"tokens": [{"logprob": -Infinity}]}}'
    async with FaultServer(default=Behaviour(body=body)) as server, open_at(server) as model:
        assert (await model.complete(call())).text == "a\ufffdb"


async def test_a_stream_split_at_every_byte_reads_the_same():
    async with FaultServer(default=Behaviour(pieces=1)) as server, open_at(server, stream=True) as model:
        assert (await model.complete(call())).text == TEXT


async def test_a_stream_cut_at_any_byte_is_started_anew():
    from fault_server import stream_body

    whole = len(stream_body(TEXT, Behaviour()))
    last_brace = stream_body(TEXT, Behaviour()).rstrip(b"\n")
    async with FaultServer() as server, open_at(server, stream=True) as model:
        for cut in [*range(0, whole, 7), *range(len(last_brace) - 9, whole)]:
            server.script = [Behaviour(cut=cut)]
            reply = await model.complete(call())
            assert reply.text == TEXT
            # Only what lacks nothing but line ends counts as complete.
            assert reply.attempts == (1 if cut >= len(last_brace) else 2), cut


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("where", ["headers", "body"])
async def test_cancelling_closes_the_connection(where, stream):
    stalled = FaultServer(default=Behaviour(stall=where))
    async with stalled as server, open_at(server, stream=stream, read_s=60) as model, asyncio.timeout(10):
        task = asyncio.create_task(model.complete(call()))
        await server.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.hung_up.wait()
        assert model.pool.endpoints[0].outstanding == 0


async def test_stop_strings_are_cut_by_us_whatever_the_server_does():
    async with FaultServer(text="A: 4 Question: B Question: C") as server:
        for stream in (False, True):
            async with open_at(server, stream=stream) as model:
                reply = await model.complete(call(ask=Ask(64, stop=("x", "Question:", "\n", "b", "c"))))
                assert (reply.text, reply.finish_reason) == ("A: 4 ", "stop_sequence")
        assert [len(seen.data["parameters"]["stop"]) for seen in server.seen] == [4, 4]


async def test_a_streamed_stop_hangs_up_early():
    stalled = FaultServer(text="one STOP two three", default=Behaviour(stall="body"))
    async with stalled as server, open_at(server, stream=True, read_s=60) as model, asyncio.timeout(10):
        reply = await model.complete(call(ask=Ask(64, stop=("STOP",))))
        assert (reply.text, reply.attempts) == ("one ", 1)
        await server.hung_up.wait()


async def test_one_connection_serves_many_calls():
    async with FaultServer() as server, open_at(server) as model:
        for number in range(20):
            await model.complete(call(number=number))
        assert server.connections == 1
