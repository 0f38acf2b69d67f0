"""A server that takes shorter prompts than a task lets it keep is not sent what it would refuse."""

import json

import pytest
from fault_server import INFO, FaultServer, error

from harness.errors import ContextOverflow
from harness.models.api import Call
from harness.models.connect import open_model
from harness.types import Ask, CallKey

KEY = CallKey("sciworld", "boil/0", 0, 0)
MOST = 100


def as_tgi(seen):
    """TGI's checks of a prompt, with a token for every word."""
    asked, given = seen.data["parameters"], len(seen.data["inputs"].split())
    if (keep := asked.get("truncate")) is not None:
        if not 0 < keep <= MOST:
            told = f"`truncate` must be strictly positive and less than {MOST}. Given: {keep}"
            return error(422, f"Input validation error: {told}", "validation")
        given = min(given, keep)
    if given > MOST:
        told = f"`inputs` must have less than {MOST} tokens. Given: {given}"
        return error(422, f"Input validation error: {told}", "validation")
    return None


async def asked(truncate, words):
    """The reply to a prompt of so many words, and the `truncate` that was sent."""
    info = {**INFO, "max_input_tokens": MOST, "max_total_tokens": MOST + 1}
    async with FaultServer(info=info, choose=as_tgi) as server:
        async with open_model("agentlm-7b", endpoints=[server.url]) as model:
            call = Call(KEY, (), "w " * words, Ask(8, truncate=truncate))
            try:
                reply = await model.complete(call)
            finally:
                sent = server.seen[-1].data["parameters"]
        return reply, sent.get("truncate")


async def test_what_the_server_takes_is_sent():
    reply, sent = await asked(MOST, 150)
    assert (sent, reply.notes) == (MOST, ())


async def test_a_value_above_the_servers_longest_prompt_is_left_out_and_short_prompts_are_answered():
    reply, sent = await asked(MOST + 1, 20)
    assert sent is None and reply.text and reply.notes == ()


async def test_a_prompt_that_the_server_should_have_cut_is_the_models_limit_and_says_so():
    with pytest.raises(ContextOverflow, match="truncate not sent"):
        await asked(MOST + 1, 150)


async def test_the_server_of_this_test_refuses_as_tgi_does():
    seen = type("Seen", (), {"data": {"inputs": "w", "parameters": {"truncate": MOST + 1}}})
    assert "strictly positive" in json.loads(as_tgi(seen).body)["error"]
