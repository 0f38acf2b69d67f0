"""Agent-FLAN's conversation as bytes: its marks are combining characters, and nothing may normalise them."""

from __future__ import annotations

import json

import pytest
from fault_server import INFO, FaultServer

from harness.models.api import Call, Options
from harness.models.connect import open_model
from harness.types import Ask, CallKey, Message

BEGIN, END = b"\xe0\xb5\x86", b"\xe0\xb4\xbf"  # U+0D46 and U+0D3F
KEY = CallKey("gsm8k", "test/0", 0, 0)
TALK = (
    Message("system", "Be brief."),
    # One letter written in two ways, which a normalisation would make one, and a letter with a mark on it.
    Message("user", "e\u0301 \u00e9 \u0d15"),
    Message("assistant", "\u0d15\u0d46"),
    Message("user", "And?"),
)
PROMPT = (
    b"<|Human|>" + BEGIN + b"Be brief.\n "
    b"<|Human|>" + BEGIN + b"e\xcc\x81 \xc3\xa9 \xe0\xb4\x95\n "
    b"<|Assistant|>" + BEGIN + b"\xe0\xb4\x95" + BEGIN + END + b"\n "
    b"<|Human|>" + BEGIN + b"And?\n "
    b"<|Assistant|>" + BEGIN
)  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("profile", ["paper", "fixed"])
async def test_the_prompt_goes_out_byte_for_byte_and_the_reply_ends_at_the_mark(profile, stream):
    said = "Yes, e\u0301.\u0d3f\n <|Human|>\u0d46 and more"
    served = {**INFO, "model_id": "internlm/Agent-FLAN-7b"}
    async with (
        FaultServer(text=said, info=served) as server,
        open_model(
            "agent-flan-7b", endpoints=[server.url], profile=profile, options=Options(stream=stream)
        ) as model,
    ):
        reply = await model.complete(Call(KEY, TALK, None, Ask(64)))
    (seen,) = server.seen
    assert seen.path == ("/generate_stream" if stream else "/generate")
    sent = json.loads(seen.body)
    assert sent["inputs"].encode() == PROMPT
    # Raw on the wire or as JSON's escapes, and nothing else.
    assert json.dumps(PROMPT.decode(), ensure_ascii=False).encode() in seen.body or (
        json.dumps(PROMPT.decode()).encode() in seen.body
    )
    assert [mark.encode() for mark in sent["parameters"]["stop"]] == [END, b"</s>"]
    assert reply.text == "Yes, e\u0301."
