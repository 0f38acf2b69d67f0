"""A thought before an answer: what counts as one, what is kept of it, and which stop strings end a reply."""

from __future__ import annotations

import json

import pytest
from fault_server import Behaviour, FaultServer

from harness.errors import InfraError
from harness.models.api import Call, Options
from harness.models.clients.reasoning import Parts, StopWatch, opens, parts
from harness.models.connect import open_model
from harness.models.roles import RoleSession
from harness.models.trial import ranking
from harness.types import Ask, CallKey, Message

KEY = CallKey("gsm8k", "test/0", 0, 0)
OPENING = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: <think>{{ '\\n' }}"

FOUND = {
    "none": ("18", Parts("", "18")),
    "closed": ("<think>hm</think>18", Parts("hm", "18")),
    "white space before": (" \n<think>\nhm\n</think>\n\n18", Parts("hm", "18")),
    "indentation after": ("<think>hm</think>\r\n \n    return 1\n", Parts("hm", "    return 1\n")),
    "empty": ("<think>\n\n</think>\n\n18", Parts("", "18")),
    "nested": ("<think>a<think>b</think>c</think>18", Parts("a<think>b</think>c", "18")),
    "doubled": ("<think>a</think>\n<think>b</think>\n18", Parts("a\n\nb", "18")),
    "mentions the tag": ("<think>not <think> but</think>18", Parts("not <think> but", "18")),
    "nothing after": ("<think>hm</think>", Parts("hm", "")),
    "unclosed": ("<think>hm", Parts("hm", "", ended=False)),
    "second one unclosed": ("<think>a</think><think>b", Parts("a\n\nb", "", ended=False)),
    "mentioned in an answer": ("Write <think>x</think> first", Parts("", "Write <think>x</think> first")),
    "closed in an answer": ("Close it by </think>.", Parts("", "Close it by </think>.")),
    "another case": ("<Think>hm</Think>18", Parts("", "<Think>hm</Think>18")),
}
OPENED = {
    "closed": ("hm</think>\n18", Parts("hm", "18")),
    "opened again": ("<think>hm</think>18", Parts("<think>hm", "18")),
    "doubled": ("a</think><think>b</think>18", Parts("a\n\nb", "18")),
    "unclosed": ("hm", Parts("hm", "", ended=False)),
    "empty": ("</think>18", Parts("", "18")),
}
UNKNOWN = {
    "closed": ("hm</think>18", Parts("hm", "18")),
    "whole": ("<think>hm</think>18", Parts("hm", "18")),
    "mentioned": ("Write <think>x</think> first", Parts("", "Write <think>x</think> first")),
    "none": ("18", Parts("", "18")),
}


@pytest.mark.parametrize(("text", "expected"), FOUND.values(), ids=FOUND)
def test_a_thought_stands_at_the_beginning(text, expected):
    assert parts(text) == expected


@pytest.mark.parametrize(("text", "expected"), OPENED.values(), ids=OPENED)
def test_a_template_may_open_the_thought(text, expected):
    assert parts(text, opened=True) == expected


@pytest.mark.parametrize(("text", "expected"), UNKNOWN.values(), ids=UNKNOWN)
def test_where_the_server_renders_the_reply_shows_it(text, expected):
    assert parts(text, opened=None) == expected


def test_what_a_prompt_opens():
    assert opens("assistant: <think>\n") and opens("<think>")
    assert not opens("assistant:") and not opens("<think>\n\n</think>\n\n")


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize(
    ("text", "opened", "complete"),
    [
        ("one STOP two", False, True),
        ("<think>a STOP b</think>c STOP d", False, True),
        ("a STOP b</think>c STOP d", True, True),
        ("\n\n <think>STOP", False, False),
        ("<thin STOP", False, True),
        ("<think>a<think>b</think>STOP</think>c", False, False),
    ],
)
def test_a_stream_is_watched_for_stop_strings_of_its_answer(text, opened, complete, size):
    watch = StopWatch(("STOP",), opened=opened)
    starts = range(0, len(text), size)
    seen = next((n + size for n in starts if watch.sees(text[n : n + size])), len(text))
    assert watch.confirms(text[:seen]) == complete
    if complete:
        assert seen - size < text.rindex("STOP") + len("STOP") <= seen
    else:
        assert not watch.sees("STOP"), "a watch that was wrong sees nothing more"


def call(stop=(), tokens=64):
    return Call(KEY, (Message("user", "hi"),), None, Ask(tokens, stop=stop), deadline_s=30_000)


def open_at(server, selector="agentlm-7b", **more):
    return open_model(selector, endpoints=[server.url], options=Options(time_scale=1000, **more))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_template_that_opens_the_thought(stream, tmp_path):
    template = tmp_path / "opening.jinja"
    template.write_text(OPENING)
    async with (
        FaultServer(text="so\nSTOP it is</think>\n\n18 STOP more") as server,
        open_at(server, template=str(template), stream=stream) as model,
    ):
        reply = await model.complete(call(stop=("STOP",)))
        assert (reply.text, reply.thought, reply.finish_reason) == ("18 ", "so\nSTOP it is", "stop_sequence")
        sent = server.seen[0].data
        assert sent["inputs"].endswith("assistant: <think>\n")
        assert "stop" not in sent["parameters"], "the server would end the thought there"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_thought_that_the_server_ended_at_a_stop_string_is_asked_for_again_without(stream):
    def reply(seen):
        text, stops = "<think>first\nthen</think>18\nmore", seen.data["parameters"].get("stop", [])
        ends = [text.index(stop) + len(stop) for stop in stops if stop in text]
        return text[: min(ends)] if ends else text

    async with FaultServer(reply=reply) as server, open_at(server, stream=stream) as model:
        for _ in range(2):
            got = await model.complete(call(stop=("\n",)))
            assert (got.text, got.thought) == ("18", "first\nthen")
        assert ["stop" in seen.data["parameters"] for seen in server.seen] == [True, False, False]


async def test_a_stop_string_leaves_a_stream_only_in_the_answer():
    text = "<think>a STOP b</think>one STOP two three four five six seven eight nine"
    stalled = FaultServer(text=text, default=Behaviour(stall="body"))
    async with stalled as server, open_at(server, stream=True, read_s=60) as model:
        reply = await model.complete(call(stop=("STOP",)))
        assert (reply.text, reply.thought, reply.attempts) == ("one ", "a STOP b", 1)
        await server.hung_up.wait()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_kept_thoughts_are_part_of_the_reply(stream):
    text = "<think>hm</think>18"
    async with FaultServer(text=text) as server, open_at(server, stream=stream, reasoning="keep") as model:
        reply = await model.complete(call())
        assert (reply.text, reply.thought, reply.notes) == (text, "", ())
    message = {"content": "18", "reasoning": "hm"}
    body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()
    async with (
        FaultServer(info=None, default=Behaviour(body=body)) as server,
        open_at(server, "m@chat", reasoning="keep") as model,
    ):
        assert (await model.complete(call())).text == "<think>\nhm\n</think>\n\n18"


async def test_a_role_whose_budget_ran_out_in_its_thought_failed():
    details = {"finish_reason": "length", "generated_tokens": 64}
    body = json.dumps({"generated_text": "<think>[[5]]", "details": details}).encode()
    async with FaultServer(default=Behaviour(body=body)) as server, open_at(server) as model:
        judge = RoleSession("judge", model, KEY)
        with pytest.raises(InfraError, match="64 tokens ran out within its thought"):
            await judge.ask("k", "Rate it.", Ask(64))


@pytest.mark.parametrize(
    ("end", "refused"),
    [("<think>\n", True), ("<think>\n\n</think>\n\n", False), ("", False)],
    ids=["opened", "closed again", "none"],
)
async def test_letters_are_not_ranked_behind_an_opened_thought(end, refused, tmp_path):
    template = tmp_path / "own.jinja"
    template.write_text(OPENING.partition("<think>")[0] + f"{{{{ {end!r} }}}}")
    tops = [
        {"id": n, "text": f" {one}", "logprob": -1.0 - n, "special": False} for n, one in enumerate("ABCD")
    ]
    async with (
        FaultServer(text="A", default=Behaviour(top_tokens=tops)) as server,
        open_model("agentlm-7b", endpoints=[server.url], options=Options(template=str(template))) as model,
    ):
        lines = await ranking(model, {"mmlu": "--set mmlu.answer=generate"})
        assert bool(lines) is refused and bool(server.seen) is not refused
    for line in lines:
        assert "opens a thought (<think>)" in line and "--set mmlu.answer=generate" in line
