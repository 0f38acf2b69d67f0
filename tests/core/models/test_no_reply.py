"""Each row of the table of replies that are none (docs/protocols.md), over each protocol, streamed or not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fault_server import Behaviour, FaultServer

from harness.errors import ContextOverflow, RequestRejected
from harness.models.api import Call, Options
from harness.models.connect import open_model
from harness.types import Ask, CallKey, Message

CALLS = [{"id": "1", "type": "function", "function": {"name": "search", "arguments": "{}"}}]
LONG = {"message": "This model's maximum context length is 4096 tokens.", "type": "BadRequestError"}


@dataclass(frozen=True)
class Sent:
    """What a server sends, before it is written in a protocol; None leaves a field null."""

    text: Any = None
    finish: str | None = "stop"
    message: dict[str, Any] | None = None
    error: Any = None
    choice_error: Any = None
    cut: bool = False


@dataclass(frozen=True)
class Meant:
    """What a reply is taken for: `own`, `limit`, `retried` or `final` infrastructure."""

    meaning: str
    text: str = ""
    notes: tuple[str, ...] = ()
    thought: str = ""
    limit: int = 0


OWN_EMPTY = Meant("own")
CHAT = ("chat",)
ROWS: dict[str, list[tuple[Sent, Meant, tuple[str, ...]]]] = {
    "an empty text with a reason to end": [
        (Sent(""), OWN_EMPTY, ("tgi", "openai", "chat")),
        (Sent(None), OWN_EMPTY, CHAT),
    ],
    "only a thought, ended by the model": [
        (Sent("<think>hm"), Meant("own", "", ("thought",), "hm"), ("tgi", "openai", "chat")),
        (Sent(message={"reasoning_content": "hm"}), Meant("own", "", ("thought",), "hm"), CHAT),
    ],
    "only a thought, ended by `max_new_tokens`": [
        (Sent("<think>hm", "length"), Meant("limit", "", ("thought",), "hm"), ("tgi", "openai", "chat")),
        (Sent("<think>hm</think>", "length"), Meant("limit", "", ("thought",), "hm"), ("tgi", "openai")),
        (Sent(message={"reasoning": "hm"}, finish="length"), Meant("limit", "", ("thought",), "hm"), CHAT),
    ],
    "`refusal`": [(Sent(message={"refusal": "I cannot."}), Meant("own", "I cannot.", ("refusal",)), CHAT)],
    "`tool_calls`, `function_call`": [
        (Sent(None, "tool_calls", {"tool_calls": CALLS}), Meant("own", "", ("tool call",)), CHAT),
        (Sent("so", "stop", {"tool_calls": CALLS}), Meant("own", "so", ("tool call",)), CHAT),
        (Sent(None, "function_call", {"function_call": {}}), Meant("own", "", ("tool call",)), CHAT),
    ],
    "content as a list of parts": [
        (Sent([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), Meant("own", "ab"), CHAT),
        (
            Sent([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"text": "b"}]),
            Meant("own", "b", ("thought",), "hm"),
            CHAT,
        ),
    ],
    "`content_filter`": [
        (Sent("The", "content_filter"), Meant("final"), ("tgi", "openai", "chat")),
        (Sent(None, "content_filter"), Meant("final"), CHAT),
    ],
    "a generation broken off (`abort`, `error`, a stream without its end)": [
        (Sent("The", "abort"), Meant("retried"), ("tgi", "openai", "chat")),
        (Sent(None, "error"), Meant("retried"), CHAT),
        (Sent("The", None, cut=True), Meant("retried"), ("tgi", "openai", "chat")),
    ],
    "an error inside a 200 or a stream, also of one choice": [
        (Sent(error={"message": "oom", "type": "server_error"}), Meant("retried"), ("tgi", "openai", "chat")),
        (Sent(error={"message": "busy", "code": 429}), Meant("retried"), ("tgi", "openai", "chat")),
        (Sent(error="worker died"), Meant("retried"), ("tgi", "openai", "chat")),
        (
            Sent("The", "stop", choice_error={"message": "x", "code": 502}),
            Meant("retried"),
            ("openai", "chat"),
        ),
        (Sent(error={"message": "no key", "code": 401}), Meant("final"), ("tgi", "openai", "chat")),
        (Sent(error={"message": "x", "type": "invalid_request_error"}), Meant("final"), ("openai", "chat")),
        (Sent("", choice_error={"message": "x", "code": "content_filter"}), Meant("final"), CHAT),
    ],
    "an error about the prompt's length inside a 200": [
        (Sent(error=LONG), Meant("overflow", limit=4096), ("tgi", "openai", "chat")),
        (Sent(error={"message": "x", "code": "context_length_exceeded"}), Meant("overflow"), CHAT),
        (Sent("", choice_error=LONG), Meant("overflow", limit=4096), ("openai", "chat")),
    ],
    "neither text nor a reason to end": [(Sent(None, None), Meant("retried"), ("tgi", "openai", "chat"))],
}
SELECTOR = {"tgi": "agentlm-7b", "openai": "agentlm-7b@openai", "chat": "m@chat"}


def behaviour(kind: str, sent: Sent, *, stream: bool) -> Behaviour:
    """What the server writes, in a protocol's own form."""
    if kind == "tgi":
        body = events(tgi(sent), b"") if stream else json.dumps(tgi(sent)).encode()
    elif stream:
        body = b"".join(chunks(kind, sent))
    else:
        body = json.dumps(whole(kind, sent, "message")).encode()
    cut = len(body) // 2 if sent.cut and not stream else None
    return Behaviour(body=body, content_type="text/event-stream" if stream else "application/json", cut=cut)


def tgi(sent: Sent) -> dict[str, Any]:
    if sent.error is not None:
        return {"error": sent.error}
    if sent.cut:
        return {"token": {"text": "The"}, "generated_text": None, "details": None}
    details = {"finish_reason": sent.finish, "generated_tokens": 5}
    return {"token": {"text": sent.text}, "generated_text": sent.text, "details": details}


def events(data: Any, end: bytes) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n" + end


def whole(kind: str, sent: Sent, field: str) -> dict[str, Any]:
    if sent.error is not None:
        return {"error": sent.error}
    said = {"text": sent.text} if kind == "openai" else {field: {"content": sent.text} | (sent.message or {})}
    choice = {"index": 0, **said, "finish_reason": sent.finish}
    if sent.choice_error is not None:
        choice["error"] = sent.choice_error
    return {"choices": [choice], "usage": {"prompt_tokens": 11, "completion_tokens": 5}}


def chunks(kind: str, sent: Sent) -> Iterator[bytes]:
    """The message as one piece, then the reason to end, then the usage, as vLLM sends them."""
    if sent.error is not None or sent.choice_error is not None:
        yield events(whole(kind, sent, "delta"), b"data: [DONE]\n\n")
        return
    piece = whole(kind, sent, "delta")
    piece["choices"][0]["finish_reason"] = None
    yield events(piece | {"usage": None}, b"")
    if sent.cut:
        return
    last = whole(kind, Sent(None if sent.text is None else "", sent.finish), "delta")
    yield events(last | {"usage": None}, b"")
    yield events({"choices": [], "usage": last["usage"]}, b"data: [DONE]\n\n")


def cases() -> Iterator[Any]:
    for name, variants in ROWS.items():
        for number, (sent, meant, kinds) in enumerate(variants):
            for kind in kinds:
                for stream in (False, True):
                    how = "streamed" if stream else "whole"
                    yield pytest.param(kind, stream, sent, meant, id=f"{name}-{number}-{kind}-{how}")


@pytest.mark.parametrize(("kind", "stream", "sent", "meant"), [*cases()])
async def test_each_reply_that_is_none_has_its_one_meaning(kind, stream, sent, meant):
    bad = behaviour(kind, sent, stream=stream)
    good = behaviour(kind, Sent("good"), stream=stream)
    options = Options(stream=stream, time_scale=1000, read_s=5)
    call = Call(CallKey("gsm8k", "test/0", 0, 0), (Message("user", "hi"),), None, Ask(64), deadline_s=30_000)
    async with (
        FaultServer(info=None, script=[bad, bad], default=good) as server,
        open_model(SELECTOR[kind], endpoints=[server.url], options=options) as model,
    ):
        if meant.meaning == "overflow":
            with pytest.raises(ContextOverflow) as told:
                await model.complete(call)
            assert (told.value.limit, len(server.seen)) == (meant.limit, 1)
        elif meant.meaning == "final":
            with pytest.raises(RequestRejected):
                await model.complete(call)
            assert len(server.seen) == 1
        elif meant.meaning == "retried":
            reply = await model.complete(call)
            assert (reply.text, reply.attempts, len(server.seen)) == ("good", 3, 3)
        else:
            reply = await model.complete(call)
            assert (reply.text, reply.notes, reply.thought) == (meant.text, meant.notes, meant.thought)
            assert reply.unfinished == (meant.meaning == "limit")
            assert (reply.output_tokens, len(server.seen)) == (5, 1)


def test_the_table_in_the_documents_has_these_rows(root: Path):
    text = (root / "docs" / "protocols.md").read_text()
    table = text.partition("| instead of an answer |")[2].partition("\n\n")[0]
    assert [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[2:]] == list(ROWS)
