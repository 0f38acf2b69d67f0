"""The path from a call to a reply over real HTTP on loopback."""

import json

import pytest

from harness.errors import RequestRejected, UsageError
from harness.models.client import Call, LiveEpisodes, open_model
from harness.types import Ask, CallKey, Message, Observation


class Gold:
    def __init__(self, text):
        self.text, self.asked = text, 0

    def reply(self, observation):
        self.asked += 1
        return self.text


def call(sample="test/0", number=0, task="gsm8k", **ask):
    ask.setdefault("max_new_tokens", 16)
    return Call(CallKey(task, sample, 0, number), (Message("user", "hé?"),), None, Ask(**ask))


async def test_oracle_answers_the_live_episode_and_moves_once_per_call():
    live, gold = LiveEpisodes(), Gold("forty-two \u0d3f end")
    async with open_model("oracle", live=live) as model:
        live.put("gsm8k", "räum/0", 0, gold, Observation())
        reply = await model.complete(call("räum/0"))
        again = await model.complete(call("räum/0"))
        assert reply.text == again.text == "forty-two \u0d3f end"
        assert gold.asked == 1
        live.drop("gsm8k", "räum/0", 0)
        with pytest.raises(RequestRejected, match="räum/0"):
            await model.complete(call("räum/0", 1))


async def test_oracle_ranks_choices():
    live = LiveEpisodes()
    async with open_model("oracle", live=live) as model:
        live.put("mmlu", "test/a/0", 0, Gold("C"), Observation())
        reply = await model.complete(call("test/a/0", task="mmlu", choices=(" A", " B", " C", " D")))
        assert (reply.choice, reply.text, reply.method) == (2, " C", "G")


async def test_replay_picks_by_call_and_repeats_the_last(tmp_path):
    file = tmp_path / "replies.jsonl"
    file.write_text(json.dumps({"task": "gsm8k", "sample": "test/0", "replies": ["one", "two"]}) + "\n")
    async with open_model(f"replay:{file}") as model:
        assert [(await model.complete(call(number=n))).text for n in range(4)] == ["one", "two", "two", "two"]
        with pytest.raises(RequestRejected, match=r"gsm8k sample test/9"):
            await model.complete(call("test/9"))


async def test_unknown_model_names_the_nearest():
    with pytest.raises(UsageError, match="agentlm-7b"):
        async with open_model("AgentLM-7B"):
            pass
