"""Everything that reads what others wrote, each with what it may refuse and a few inputs to begin from.

`tests/core/test_fuzzed.py` tries each quickly, `tests/chaos/fuzz.py` for a minute, guided by coverage.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fuzzed_texts import TEXTS, Read

from harness import history
from harness.catalog import models
from harness.data.pins import parse as parse_pins
from harness.errors import DataError, HarnessError, StoreError
from harness.models.clients.answer import read_generate
from harness.models.clients.embed_wire import OpenAI, Tei
from harness.models.clients.openai_stream import OpenAiStream
from harness.models.clients.openai_wire import read_completion
from harness.models.clients.reasoning import parts
from harness.models.clients.stream import Following, Stream
from harness.models.local.answers import read_replay
from harness.models.pool.faults import Fault, classify
from harness.storage.codec import Codec
from harness.storage.records import CallRecord
from harness.templates import Template, names, template
from harness.templates.roles import ConversationError
from harness.types import Message

ANSWERED = (Fault, HarnessError)
"""What the clients raise for an answer that is none; the pool and the loop know what to do with each."""
IN_UTF8 = (DataError, UnicodeDecodeError)
"""What readers of files refuse that are opened as UTF-8; who opens them says so."""
FILES = Path(__file__).parents[2]


@dataclass(frozen=True)
class Parser:
    """One entry of the table.

    Attributes:
        read: takes bytes; whatever else it raises is a crash.
        seeds: inputs of the form that it looks for.
        refuses: what it may raise.
    """

    read: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    refuses: tuple[type[Exception], ...] = ()

    def __call__(self, data: bytes) -> None:
        try:
            self.read(data)
        except self.refuses:
            return


def text_of(data: bytes) -> str:
    """Bytes as a text that may hold lone surrogates, as a reply may."""
    return data.decode("utf-8", "surrogateescape")


def of_text(read: Read) -> Callable[[bytes], object]:
    return lambda data: read(text_of(data))


def fed(stream: Following, data: bytes) -> object:
    """What a stream gives of bytes that come in pieces; the first byte says how long these are."""
    size, data = 1 + data[:1][0] % 32 if data else 1, data[1:]
    for start in range(0, len(data), size):
        if (answer := stream.feed(data[start : start + size])) is not None:
            return answer
    return stream.end()


def conversation(text: str) -> list[Message]:
    """A text as turns, one a line."""
    first, *rest = text.split("\n")
    head = [Message("system", first)] if first.startswith("s") else [Message("user", first, "task")]
    turns = [Message("assistant" if n % 2 else "user", line) for n, line in enumerate(rest, len(head) == 1)]
    return [*head, *turns]


def plain(messages: Sequence[Message]) -> str:
    return "\n".join(message.content for message in messages)


def shown(text: str) -> None:
    """No policy invents a message, and the newest ones that are kept stay in order."""
    messages = conversation(text)
    for name in ("segments-12", "segments-12-verbatim", "pairs-30-estimate", "none"):
        policy, _ = history.policy(name)
        kept = policy(messages, plain, len)
        assert len(kept) <= len(messages), name


def rendered(text: str) -> None:
    """Every shipped template renders a conversation, with the newest message in it."""
    messages = conversation(text)
    for name in names():
        try:
            prompt = template(name).render(messages)
        except ConversationError:
            continue  # roles that do not alternate
        assert isinstance(prompt, str)


def of_template(source: str) -> object:
    """A template that a checkpoint brings; it may refuse, and must not do more."""
    return Template("fuzzed", source, strict=False).render(
        [Message("user", "hello"), Message("assistant", "x")]
    )


def through_codec(text: str) -> None:
    """What goes into the store comes out."""
    codec = Codec()
    first, _, second = text.partition("\n")
    calls = [
        CallRecord(0, first, second, {"said": second}, {}, "", ""),
        CallRecord(1, first + second, first, {}, {"n": len(text)}, "", ""),
        CallRecord(2, text, "", {}, {}, "judge", second),
    ]
    for role in ("", "judge"):
        own = [call for call in calls if call.role == role]
        (*found,) = codec.records(codec.rows(own))
        assert [(c.prompt, c.reply) for c in found] == [(c.prompt, c.reply) for c in own]
    assert codec.unpack(codec.pack(text)) == text
    assert codec.unpack_json(codec.pack_json({"text": text})) == {"text": text}


def damaged(data: bytes) -> object:
    """A stored text with bytes changed."""
    return Codec().unpack(data[:1] + data[1:])


def replayed(data: bytes) -> object:
    """A replay file's lines, read from memory."""
    file = os.memfd_create("replay")
    try:
        os.write(file, data)
        return read_replay(Path(f"/proc/self/fd/{file}"))
    finally:
        os.close(file)


def of_embeddings(data: bytes) -> None:
    for protocol in (Tei(), OpenAI("m")):
        try:
            protocol.read(data, {}, 1)
        except (*ANSWERED, ValueError):
            continue


def of_thoughts(text: str) -> None:
    for opened in (None, False, True):
        parts(text, opened=opened)


EVENT = b'data:{"token": {"text": "a", "special": false}}\n\n'
LAST = b'data:{"generated_text": "a", "details": {"finish_reason": "length", "generated_tokens": 1}}\n\n'
CHUNK = b'data: {"choices": [{"text": "a", "finish_reason": null}]}\n\ndata: [DONE]\n\n'
DELTA = b'data: {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}\n\n'
GENERATED = (
    b'{"generated_text": "a", "details": {"finish_reason": "eos_token", "generated_tokens": 1, "seed": 3, '
    b'"prefill": [{"id": 1, "text": "x", "logprob": -1.5}], "top_tokens": [[{"text": "A"}]]}}'
)
COMPLETED = (
    b'{"choices": [{"text": "a", "finish_reason": "stop", "logprobs": {"tokens": ["a"], "token_logprobs": '
    b'[-0.5], "top_logprobs": [{"a": -0.5}]}}], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}'
)
CHATTED = (
    b'{"choices": [{"message": {"content": [{"type": "text", "text": "a"}], "reasoning_content": "hm"}, '
    b'"logprobs": {"content": [{"token": "a", "logprob": -1, "top_logprobs": []}]}}]}'
)
ERRORS = (
    b'{"error": "Input validation error: `inputs` must have less than 9 tokens", "error_type": "validation"}',
    b'{"error": {"message": "maximum context length is 4096 tokens", "type": "invalid", "code": 400}}',
    b"<html>busy</html>",
)
REPLAY = (
    b'{"task": "gsm8k", "sample": "test/0", "replies": ["4"], "repeat": 1, "ends": "thought"}\n'
    b'{"task": "a", "sample": "b", "replies": [], "roles": {"judge/1": "x", "e/2": [[1.0]]}}\n'
)


def outer() -> dict[str, Parser]:
    """Readers of what servers send and of what files hold."""
    shipped = (FILES / "harness/catalog/models.toml").read_bytes()[:1500].rpartition(b"\n[")[0]
    pinned = (FILES / "tasks/gsm8k/data.toml").read_bytes()
    source = b"{% for m in messages %}{{ m['content'] | trim }}{{ eos_token }}{% endfor %}"
    return {
        "history": Parser(of_text(shown), (b"task\nanswer\nmore\nagain", b"system\ntask\nok")),
        "templates": Parser(of_text(rendered), (b"task\nanswer\nmore", b"system\n[INST] x </s>\n<s>")),
        "template source": Parser(of_text(of_template), (source,), (ConversationError, DataError)),
        "store codec": Parser(
            of_text(through_codec), (b"a prompt\na reply", "é\ud800".encode("utf-8", "replace"))
        ),
        "damaged text": Parser(
            damaged, (Codec().pack("word " * 40), b"\0plain"), (StoreError, UnicodeDecodeError)
        ),
        "SSE of TGI": Parser(lambda data: fed(Stream({}, room=8), data), (b"\7" + EVENT + LAST,), ANSWERED),
        "SSE of OpenAI": Parser(
            lambda data: fed(OpenAiStream({}, room=8), data), (b"\7" + CHUNK, b"\3" + DELTA), ANSWERED
        ),
        "answer of TGI": Parser(
            lambda data: read_generate(data, {}), (GENERATED, b"[" + GENERATED + b"]"), ANSWERED
        ),
        "answer of OpenAI": Parser(
            lambda data: read_completion(data, echo=len(data) % 2 == 0), (COMPLETED, CHATTED), ANSWERED
        ),
        "refusals": Parser(lambda data: classify(400 + len(data) % 130, data), ERRORS),
        "embeddings": Parser(of_embeddings, (b"[[0.5, 1]]", b'{"data": [{"embedding": [1], "index": 0}]}')),
        "thoughts": Parser(of_text(of_thoughts), (b"<think>so</think>yes", b"a</think>")),
        "data.toml": Parser(lambda data: parse_pins(data.decode(), "gsm8k", "here"), (pinned,), IN_UTF8),
        "models files": Parser(lambda data: models.parse(data.decode(), "here"), (shipped,), IN_UTF8),
        "replay lines": Parser(replayed, (REPLAY,), (DataError,)),
    }


PARSERS: Mapping[str, Parser] = {
    f"action of {task}": Parser(of_text(read), tuple(seed.encode() for seed in seeds))
    for task, (read, seeds) in TEXTS.items()
} | outer()
"""The table, by name."""
