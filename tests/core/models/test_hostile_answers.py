"""Whatever a server sends is understood within bounds, or is that server's fault and another answers."""

import json

import pytest
from fault_server import INFO, TEXT, Behaviour, FaultServer

from harness.errors import EndpointError, RequestRejected
from harness.models.api import Call, Options
from harness.models.connect import open_model
from harness.types import Ask, CallKey, Message

FAST = 1000.0
BIG = 1 << 31
NUMBERS = {
    "1e30": b"1e30",
    "2^63": b"9223372036854775808",
    "NaN": b"NaN",
    "infinity": b"-Infinity",
    "1e999": b"1e999",
    "5000 digits": b"9" * 5000,
    "negative": b"-3",
    "string": b'"many"',
    "boolean": b"true",
    "object": b'{"a": [1]}',
    "deep": b"[" * 900 + b"]" * 900,
    "null": b"null",
}


def call(number=0, **more):
    key = CallKey("gsm8k", f"test/{number}", 0, 0)
    more.setdefault("deadline_s", 60_000)
    return Call(key, (Message("user", "hi"),), None, more.pop("ask", Ask(64)), **more)


def open_at(*servers, selector="agentlm-7b", **more):
    more.setdefault("time_scale", FAST)
    options = Options(read_s=5, **more)
    return open_model(selector, endpoints=[server.url for server in servers], options=options)


def tgi(number=b"3", text=b'"fine"', extra=b""):
    details = b'{"finish_reason": "eos_token", "generated_tokens": %b, "input_length": %b, "seed": %b%b}'
    details %= (number, number, number, extra)
    return b'{"generated_text": %b, "details": %b}' % (text, details)


def completion(number=b"3", text=b'"fine"', field=b'"text": %b'):
    usage = b'{"prompt_tokens": %b, "completion_tokens": %b}' % (number, number)
    return b'{"choices": [{%b, "finish_reason": "stop"}], "usage": %b}' % (field % text, usage)


def chat(number=b"3", text=b'"fine"'):
    return completion(number, text, b'"message": {"content": %b}')


def streamed(number=b"3", text=b'"fine"'):
    return b"data: " + completion(number, text) + b"\n\ndata: [DONE]\n\n"


def chat_streamed(number=b"3", text=b'"fine"'):
    return b"data: " + completion(number, text, b'"delta": {"content": %b}') + b"\n\ndata: [DONE]\n\n"


def event(number=b"3", text=b'"fine"'):
    return b"data:" + tgi(number, text) + b"\n\n"


KINDS = {
    "tgi": ("agentlm-7b", tgi, "application/json", False),
    "stream": ("agentlm-7b", event, "text/event-stream", True),
    "openai": ("agentlm-7b@openai", completion, "application/json", False),
    "chat": ("m@chat", chat, "application/json", False),
    "openai stream": ("agentlm-7b@openai", streamed, "text/event-stream", True),
    "chat stream": ("m@chat", chat_streamed, "text/event-stream", True),
}


def sane(reply):
    assert 0 <= reply.prompt_tokens < BIG and 0 <= reply.output_tokens < BIG
    assert reply.seed is None or 0 <= reply.seed < 1 << 64
    json.dumps([reply.text, reply.finish_reason, reply.notes, reply.seed, reply.queue_s], allow_nan=False)
    (reply.text + reply.finish_reason).encode()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS.keys())
async def test_a_count_out_of_bounds_is_one_that_was_not_told(kind, number):
    selector, body, content, stream = KINDS[kind]
    answer = Behaviour(body=body(number), content_type=content)
    async with (
        FaultServer(default=answer) as server,
        open_at(server, selector=selector, stream=stream) as model,
    ):
        reply = await model.complete(call())
        sane(reply)
        assert (reply.text, reply.attempts, reply.prompt_tokens, reply.output_tokens) == ("fine", 1, 0, 0)


@pytest.mark.parametrize("header", ["1e25", "-1", "nan", "9" * 5000, "inf", "", "true", "\u0663"])
async def test_headers_out_of_bounds_are_not_told(header):
    names = ("x-generated-tokens", "x-prompt-tokens", "x-queue-time")
    how = Behaviour(details=False, headers=tuple((name, header) for name in names))
    async with FaultServer(default=how) as server, open_at(server) as model:
        reply = await model.complete(call())
        sane(reply)
        assert reply.text == TEXT and reply.output_tokens in (0, 3) and reply.queue_s in (0.0, 0.003)


UNUSABLE = {
    "deep": b"[" * 10_000 + b"]" * 10_000,
    "deep within": b'{"x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "empty": b"",
    "a number": b"5",
    "null": b"null",
    "html": b"<html><body>Bad gateway</body></html>",
    "broken utf-8": b'{"generated_text": "\xff", "choices": [{"text": "\xff", "message": {"content": 5}}]}',
    "text is a number": b'{"generated_text": 5, "choices": [{"text": 5, "message": {"content": 5}}]}',
    "text is a list": b'{"generated_text": ["a"], "choices": [{"text": {}, "message": {"content": []}}]}',
    "choices is text": b'{"generated_text": null, "choices": "abc"}',
    "choices is null": b'{"generated_text": null, "choices": null}',
    "choice is null": b'{"generated_text": null, "choices": [null]}',
    "error is deep": b'{"error": ' + b"[" * 900 + b"]" * 900 + b"}",
    "error is a number": b'{"error": 1e999, "error_type": ' + b"7" * 5000 + b"}",
    "half": b'{"generated_text": "ab',
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", UNUSABLE.values(), ids=UNUSABLE.keys())
async def test_no_answer_is_a_fault_and_the_next_attempt_counts(kind, body):
    selector, good, content, stream = KINDS[kind]
    bad = b"data:" + body + b"\n\n" if stream else body
    async with FaultServer(default=Behaviour(body=good(), content_type=content)) as server:
        server.script = [Behaviour(body=bad, content_type=content)]
        async with open_at(server, selector=selector, stream=stream) as model:
            reply = await model.complete(call())
            assert (reply.text, reply.attempts) == ("fine", 2)


@pytest.mark.parametrize("kind", KINDS)
async def test_lone_surrogates_are_mended_in_every_text(kind):
    selector, body, content, stream = KINDS[kind]
    answer = Behaviour(body=body(text=b'"a\\ud800"'), content_type=content)
    async with (
        FaultServer(default=answer) as server,
        open_at(server, selector=selector, stream=stream) as model,
    ):
        assert (await model.complete(call())).text == "a\ufffd"


ERRORS = {
    "5000 digits": b"`inputs` must have less than %b tokens. Given: %b" % (b"9" * 5000, b"9" * 5000),
    "deep": b'{"error": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "deep enough to be read": b'{"error": {"message": ' + b"[" * 900 + b"]" * 900 + b"}}",
    "numbers": b'{"error": 1e999, "error_type": 9223372036854775808}',
    "surrogates": b'{"error": "\\ud800", "error_type": "\\udfff"}',
    "bytes": b"\xff\xfe\x00\x80",
    "empty": b"",
}


@pytest.mark.parametrize("status", [204, 301, 400, 404, 422, 429, 500, 999])
@pytest.mark.parametrize("body", ERRORS.values(), ids=ERRORS.keys())
async def test_an_error_of_one_replica_is_answered_by_another(status, body):
    if status == 204:
        body = b""
    bad = Behaviour(status, body, headers=(("Location", "http://x/"),))
    async with FaultServer(default=bad) as server, FaultServer() as good, open_at(server, good) as model:
        for number in range(64):
            assert (await model.complete(call(number=number))).text == TEXT
            if number >= 3 and server.seen:
                return
        raise AssertionError("the bad replica was never asked")


async def test_a_replica_that_refuses_what_another_answers_leaves_the_pool():
    bad = Behaviour(404, b"<html>not here</html>", "text/html")
    async with FaultServer(default=bad, healthy=False) as server, FaultServer() as good:
        async with open_at(server, good) as model:
            for number in range(40):
                assert (await model.complete(call(number=number))).text == TEXT
        assert len(server.seen) == 3


async def test_what_every_replica_refuses_is_refused():
    bad = Behaviour(422, b'{"error": "no", "error_type": "validation"}')
    async with FaultServer(default=bad) as one, FaultServer(default=bad) as two, open_at(one, two) as model:
        for number in range(6):
            with pytest.raises(RequestRejected):
                await model.complete(call(number=number))
        assert len(one.seen) == len(two.seen) == 6
        assert all(endpoint.healthy for endpoint in model.pool.endpoints)


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS.keys())
async def test_info_out_of_bounds_is_not_told_and_can_be_stored(number):
    class Odd(FaultServer):
        async def answer(self, seen, reader, writer):
            from fault_server import write

            if seen.path != "/info":
                return await super().answer(seen, reader, writer)
            body = json.dumps(INFO).replace("128", "@").replace("4096", "@").replace("4095", "@").encode()
            body = body.replace(b"@", number).replace(b'"router"', b'"\\ud800": %b, "router"' % number)
            return await write(writer, Behaviour(), body)

    async with Odd() as server, open_at(server) as model:
        assert (await model.complete(call())).text == TEXT
        told = model.info["endpoints"][0]
        json.dumps(told, allow_nan=False).encode()
        assert (told["max_concurrent"], told["max_input"], told["max_total"]) == (0, 0, 0)
        assert model.pool.endpoints[0].limit.room <= 4096


async def test_an_info_too_deep_makes_a_generic_server():
    class Deep(FaultServer):
        async def answer(self, seen, reader, writer):
            from fault_server import write

            if seen.path == "/info":
                return await write(writer, Behaviour(), b'{"version": ' + b"[" * 10_000)
            return await super().answer(seen, reader, writer)

    async with Deep() as server, open_at(server) as model:
        assert model.info["endpoints"][0]["server"] == "generic"


TOPS = {
    "text": b'[[{"text": " B", "logprob": "x"}]]',
    "boolean": b'[[{"text": " B", "logprob": true}]]',
    "huge": b'[[{"text": " B", "logprob": %b}]]' % (b"9" * 5000),
    "no text": b'[[{"text": 5, "logprob": -1}]]',
    "a number": b"5",
    "numbers": b"[[5]]",
    "nothing": b"[]",
}


@pytest.mark.parametrize("tops", TOPS.values(), ids=TOPS.keys())
async def test_alternatives_of_wrong_types_are_none(tops):
    good = tgi(text=b'" B"', extra=b', "top_tokens": [[{"id": 1, "text": " B", "logprob": -0.5}]]')
    bad = tgi(text=b'" B"', extra=b', "top_tokens": ' + tops)
    async with FaultServer(default=Behaviour(body=good)) as server, open_at(server) as model:
        choosing = Ask(1, choices=(" A", " B"))
        assert (await model.complete(call(ask=choosing))).method == "G"
        server.script = [Behaviour(body=bad)]
        reply = await model.complete(call(ask=choosing, number=1))
        assert (reply.method, reply.choice, reply.logprobs, reply.attempts) == ("G", 1, (-100.0, -0.5), 2)


async def test_a_prefill_without_logprobs_is_never_the_best_score():
    def choose(seen):
        words = seen.data["inputs"].split(" ")
        prefill = [{"id": sum(map(ord, w)), "text": w, "logprob": -1.0} for w in words]
        if words[-1] == "B":
            del prefill[-1]["logprob"]
        return Behaviour(body=tgi(extra=b', "prefill": ' + json.dumps(prefill).encode()))

    info = {**INFO, "version": "1.0.3"}
    async with FaultServer(info=info, choose=choose) as server, open_at(server, choice_method="P") as model:
        with pytest.raises(RequestRejected, match="without log-probabilities"):
            await model.complete(call(ask=Ask(1, choices=(" A", " B"))))


async def test_a_choice_whose_endpoint_dies_is_an_endpoint_error_and_no_group():
    info = {**INFO, "version": "1.0.3"}
    dead = FaultServer(info=info, default=Behaviour(drop="connect"))
    async with dead as server, open_at(server, choice_method="P") as model:
        with pytest.raises(EndpointError):
            await model.complete(call(ask=Ask(1, choices=(" A", " B")), deadline_s=1000))


@pytest.mark.parametrize("rows", [b"5", b"[[]]", b'[{"id": "x"}]', b"[{}]", b'[{"id": 1e999}]', b"{}"])
async def test_tokens_of_wrong_types_are_a_fault(rows):
    class Tokens(FaultServer):
        async def answer(self, seen, reader, writer):
            from fault_server import write

            if seen.path != "/tokenize":
                return await super().answer(seen, reader, writer)
            self.seen.append(seen)
            return await write(writer, Behaviour(), rows if len(self.seen) == 1 else b'[{"id": 7}]')

    # Counting has a deadline of a minute, which is not to become a few milliseconds.
    async with Tokens() as server, open_at(server, time_scale=5) as model:
        assert await model.tokens("x") == [7]
        assert len(server.seen) == 2
