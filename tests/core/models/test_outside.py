"""The filter for what comes from outside: planted keys never pass it, nor does what steers a terminal."""

import json
import logging
import sys
import unicodedata
import warnings
from urllib.parse import quote

import pytest
from fault_server import Behaviour, FaultServer, write
from hypothesis import given
from hypothesis import strategies as st

from harness.cli import plain_formatter
from harness.errors import HarnessError
from harness.models import outside
from harness.models.api import Call, Options
from harness.models.connect import open_model
from harness.types import Ask, CallKey, Message

SECRET = "sk-Planted+Key/0123456789=="
PARTS = (SECRET[:14], SECRET[-14:])
ESCAPED = "".join(f"\\u{ord(c):04x}" for c in SECRET)
SLASHED = SECRET.replace("/", "\\/")
TITLE = "\x1b]0;title\x07\x9b31m\u202e"

outside.register(SECRET)


def clean(*texts):
    for text in texts:
        for part in (*PARTS, *(quote(part, safe="") for part in PARTS), ESCAPED[:60], SLASHED[:16]):
            assert part not in text, text
        assert "sk-Planted" not in text


def safe(text):
    odd = [c for c in text if not (c.isprintable() or c in "\n\t" or unicodedata.category(c) == "Zs")]
    assert not odd, text


# -- the functions


@pytest.mark.parametrize("form", [SECRET, quote(SECRET, safe="")])
@given(before=st.text(), after=st.text())
def test_no_key_passes(form, before, after):
    value = before + form + after
    clean(outside.text(value), outside.message(value), outside.line(value), outside.shown(value))
    clean(outside.received(value.encode("utf-8", "surrogatepass")).decode("utf-8", "replace"))
    assert outside.received(bytearray(form, "ascii")) == outside.KEY.encode()


@given(
    st.lists(
        st.sampled_from(["{0}", "\\{0}", "\\u{1:04x}", "\\u{1:04X}", "%{1:02x}", "%{1:02X}"]), min_size=1
    )
)
def test_no_escaped_key_passes_into_a_message(ways):
    form = "".join(ways[n % len(ways)].format(c, ord(c)) for n, c in enumerate(SECRET))
    for shown in (outside.message(form), outside.shown(form), outside.line(form)):
        assert shown == outside.KEY


@given(st.integers(1, 40), st.text(max_size=60))
def test_a_cut_leaves_no_part_of_a_key(limit, before):
    clean(outside.line(before + SECRET + "tail", limit))


@given(st.text())
def test_what_is_shown_steers_no_terminal(text):
    safe(outside.shown(text))
    assert outside.shown(outside.shown(text)) == outside.shown(text)
    assert "\n" not in outside.line(text) and len(outside.line(text, 40)) <= 40 * 10


def test_what_is_written_out_can_be_read():
    assert outside.shown("a\x1b[31m\x00b\tc\n\u00a0\u4e2d") == "a\\x1b[31m\\x00b\tc\n\u00a0\u4e2d"


def test_short_tokens_protect_nothing_and_spoil_no_word():
    outside.register("EMPTY")
    assert outside.shown("EMPTY") == "EMPTY"


FOREIGN = [
    "http://user:hunter2secret@host/x",
    "http://host/x?api_key=hunter2secret&b=1",
    "http://host/x?a=1&token=hunter2secret",
    "Authorization: Bearer hunter2secret-hunter2",
    "authorization: basic hunter2secrethunter2==",
]


@pytest.mark.parametrize("text", FOREIGN)
def test_keys_of_others_are_known_by_where_they_stand(text):
    for shown in (outside.message(text), outside.line(text), outside.shown(text)):
        assert "hunter2" not in shown and shown != text


# -- the logger


def test_records_arguments_and_tracebacks_pass_the_filter():
    def fail():
        raise ValueError(f"inner {SECRET} {TITLE}")

    try:
        try:
            fail()
        except ValueError as error:
            raise RuntimeError(f"outer {TITLE} http://x/?key={SECRET}") from error
    except RuntimeError:
        record = logging.LogRecord(
            "x", logging.ERROR, "f", 1, f"%s {TITLE}", ({"a": SECRET},), sys.exc_info(), sinfo=SECRET
        )
    said = plain_formatter().format(record)
    assert "inner" in said and "outer" in said and "Traceback" in said
    clean(said)
    safe(said)


def test_warnings_of_libraries_go_through_the_logger(caplog):
    from click.testing import CliRunner

    from harness.cli import group

    before = warnings.showwarning
    try:
        assert CliRunner().invoke(group, ["list", "suites"]).exit_code == 0
        assert warnings.showwarning is not before
        with caplog.at_level(logging.WARNING, "py.warnings"):
            warnings.showwarning(UserWarning("from a server"), UserWarning, "f.py", 1)
        assert "from a server" in caplog.text
    finally:
        logging.captureWarnings(False)


# -- over sockets


def call(number=0, deadline_s=2.0):
    key = CallKey("gsm8k", f"test/{number}", 0, 0)
    return Call(key, (Message("user", "hi"),), None, Ask(64, stop=("END",)), deadline_s=deadline_s)


def open_at(server, selector="agentlm-7b", **more):
    return open_model(
        selector, endpoints=[server.url], options=Options(token=SECRET, read_s=2, time_scale=10, **more)
    )


async def told(model, number=0, deadline_s=300.0):
    """Everything that comes of a call: the reply's fields, or the text of the failure.

    The pool's clock is ten times faster, and a loaded machine needs seconds for an answer.
    """
    try:
        reply = await model.complete(call(number, deadline_s))
    except HarnessError as error:
        return f"{error} {error!r}"
    return f"{reply!r} {reply.text}"


@pytest.fixture
def logged(caplog):
    """What a run with -v would print by now."""
    caplog.set_level(logging.DEBUG)
    formatter = plain_formatter()
    return lambda: "\n".join(map(formatter.format, caplog.records))


def answer(kind, text):
    said = f'"{text}"'
    details = f'"details": {{"finish_reason": {said}, "seed": {said}, "top_tokens": [[{{"text": {said}}}]]}}'
    if kind == "tgi":
        return f'{{"generated_text": {said}, {details}}}'
    if kind == "stream":
        return f'data:{{"token": {{"text": {said}}}}}\n\ndata:{{"generated_text": {said}, {details}}}\n\n'
    field = f'"message": {{"content": {said}}}' if kind == "chat" else f'"text": {said}'
    return f'{{"choices": [{{{field}, "finish_reason": {said}}}], "usage": {{"completion_tokens": {said}}}}}'


SELECTORS = {
    "tgi": "agentlm-7b", "stream": "agentlm-7b", "openai": "agentlm-7b@openai", "chat": "m@chat"
}  # fmt: skip


def behaviour(kind, body, status=200, headers=(), **more):
    content = "text/event-stream" if kind == "stream" else "application/json"
    return Behaviour(status, body.encode("utf-8", "surrogatepass"), content, headers=tuple(headers), **more)


@pytest.mark.parametrize("form", [SECRET, ESCAPED, SLASHED], ids=["plain", "escaped", "slashed"])
@pytest.mark.parametrize("kind", SELECTORS)
async def test_a_key_in_an_answer_is_taken_out(kind, form, logged):
    how = behaviour(kind, answer(kind, f"a {form} b"), headers=[("X-Queue-Time", SECRET), ("X-A", SECRET)])
    selector, stream = SELECTORS[kind], kind == "stream"
    async with FaultServer(default=how) as server, open_at(server, selector, stream=stream) as model:
        said = await told(model)
        assert server.seen[0].headers["authorization"] == f"Bearer {SECRET}"
    assert f"a {outside.KEY} b" in said
    clean(said, logged())


@pytest.mark.parametrize("pieces", [1, 2, 3, 7, 13, 64])
async def test_a_key_in_a_stream_is_taken_out_wherever_it_is_cut(pieces, logged):
    how = behaviour("stream", answer("stream", SECRET), pieces=pieces)
    async with FaultServer(default=how) as server, open_at(server, stream=True) as model:
        said = await told(model)
    assert outside.KEY in said
    clean(said, logged())


@pytest.mark.parametrize("cut", range(1, len(SECRET), 4))
async def test_a_key_in_two_events_is_taken_out_of_a_text_that_a_stop_string_ends(cut, logged):
    pieces = ("a ", SECRET[:cut], SECRET[cut:], " END")
    body = "".join(f'data:{{"token": {{"text": "{piece}"}}}}\n\n' for piece in pieces)
    how = behaviour("stream", body)
    async with FaultServer(default=how) as server, open_at(server, stream=True) as model:
        said = await told(model)
    assert f"a {outside.KEY}" in said
    clean(said, logged())


def refusals():
    """Bodies of refusals, and the lengths at which a text is cut within the key."""
    half = len(SECRET) // 2
    for length in (60, 200, 300, 500, 700, 2000, 64 << 10):
        yield "x" * (length - half) + SECRET
    for text in (SECRET, ESCAPED, SLASHED, f"{'x' * (1990 - half)}{SLASHED}", f"`inputs` {SECRET}"):
        yield f'{{"error": "{text}", "error_type": "{text}"}}'
        yield f'{{"error": {{"message": "{text}", "code": "{text}", "type": "{text}"}}}}'
        yield f'[{{"detail": "{text}"}}]'
    yield f'{{"error": ["{SLASHED}"]}}'
    yield f"<html>{TITLE}{SECRET}</html>"
    yield f"maximum context length is 5 tokens {TITLE} {SECRET}"
    yield f'{{"error": "\\u001b]0;title\\u0007 {SECRET}"}}'


@pytest.mark.parametrize("status", [200, 302, 401, 422, 500])
async def test_a_key_in_a_refusal_is_neither_raised_nor_logged(status, logged):
    headers = [("Location", f"http://x/?key={SECRET}"), ("WWW-Authenticate", SECRET)]
    for body in refusals():
        how = behaviour("tgi", body, status, headers)
        async with FaultServer(default=how) as server, open_at(server) as model:
            said = await told(model, deadline_s=2.0)  # some are asked again until then
        clean(said)
        safe(said)
    clean(logged())
    safe(logged())


FRAMING = {
    "status": f"HTTP/1.1 {SECRET} {TITLE}\r\n\r\n",
    "reason": f"HTTP/1.1 500 {SECRET} {TITLE}\r\nContent-Length: 0\r\n\r\n",
    "no header": f"HTTP/1.1 200 OK\r\n{SECRET}\r\n\r\n",
    "header": f"HTTP/1.1 200 OK\r\nX-A: \x01{SECRET}{TITLE}\r\n\r\n",
    "long header": f"HTTP/1.1 200 OK\r\nX-A: {SECRET * 1000}\r\n\r\n",
    "length": f"HTTP/1.1 200 OK\r\nContent-Length: {SECRET}\r\n\r\n",
    "chunk": f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{SECRET}\r\n",
    "encoding": f"HTTP/1.1 200 OK\r\nContent-Encoding: {SECRET}\r\nContent-Length: 3\r\n\r\nabc",
    "type": f"HTTP/1.1 200 OK\r\nContent-Type: {SECRET}/{TITLE}\r\nContent-Length: 3\r\n\r\nabc",
    "cookie": f"HTTP/1.1 500 No\r\nSet-Cookie: {SECRET}={TITLE};\r\nContent-Length: 0\r\n\r\n",
    "redirect": f"HTTP/1.1 302 Found\r\nLocation: http://[{SECRET}\r\nContent-Length: 0\r\n\r\n",
}


class Raw(FaultServer):
    raw = b""

    async def behave(self, how, seen, reader, writer):
        writer.write(self.raw)
        await writer.drain()
        return False


@pytest.mark.parametrize("raw", FRAMING.values(), ids=FRAMING.keys())
async def test_a_key_in_broken_framing_is_neither_raised_nor_logged(raw, logged):
    bad = Raw()
    bad.raw = raw.encode()
    async with bad, open_at(bad) as model:
        said = await told(model, deadline_s=10.0)  # some are asked again until then
    clean(said, logged())
    safe(said)
    safe(logged())


@pytest.mark.parametrize("form", [SECRET, ESCAPED, SLASHED], ids=["plain", "escaped", "slashed"])
async def test_a_key_in_what_a_server_says_of_itself_is_not_kept(form, logged, tmp_path, monkeypatch):
    (tmp_path / "models.toml").write_text('[mine]\nhf = "me/mine"\ntemplate = "agentlm"\n')
    monkeypatch.setenv("HARNESS_MODELS", str(tmp_path / "models.toml"))

    class Told(FaultServer):
        async def answer(self, seen, reader, writer):
            if seen.path not in ("/info", "/v1/models"):
                return await super().answer(seen, reader, writer)
            body = '{"model_id": "%", "version": "3.0.0 %", "%": {"a": ["%"]}, "data": [{"id": "%"}]}'
            title = TITLE.replace("\x1b", "\\u001b").replace("\x07", "\\u0007")
            return await write(writer, Behaviour(), body.replace("%", form + title).encode())

    async with Told() as server:
        for selector in ("mine", "mine@openai"):
            async with open_at(server, selector) as model:
                clean(json.dumps(model.info), logged())
        with pytest.raises(HarnessError, match="under its own name") as refused:
            async with open_at(server):
                pass
    clean(str(refused.value))
    safe(str(refused.value))
    safe(logged())


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{SECRET}@127.0.0.1:9", f"http://127.0.0.1:9/?api_key={quote(SECRET)}", f"http://x/#{SECRET}",
        f"ftp://user:{SECRET}@x", f"http://[{SECRET}", f"http://127.0.0.1:9/{quote(SECRET)}",
    ],
)  # fmt: skip
async def test_a_key_in_an_address_is_not_shown(url):
    with pytest.raises(HarnessError) as refused:
        async with open_model("agentlm-7b", endpoints=[url]):
            pass
    clean(outside.shown(str(refused.value)))
