"""A server that ignores what it is asked is named by doctor, and refused for tasks that need it."""

import asyncio
import json

import pytest
from fault_server import Behaviour
from server_kinds import LlamaCppLike, ServerLike, TransformersLike, VllmLike

from harness.checks.models import doctor_model
from harness.errors import UsageError
from harness.models.api import Options
from harness.models.connect import open_model
from harness.models.sampling import ignored, unfit

SELECTOR = "agentlm-7b@openai"
DRAWN = {"mt_bench": "use --decoding greedy", "gsm8k": ""}


def open_at(server, selector=SELECTOR):
    return open_model(selector, endpoints=[server.url])


async def found(server, selector=SELECTOR):
    async with server, open_at(server, selector) as model:
        return [one.asked for one in await ignored(model)]


class OneSeed(ServerLike):
    def seed(self, data):
        return 7


class NoSeed(ServerLike):
    def seed(self, data):
        return len(self.seen)


class NeverGreedy(NoSeed):
    def temperature(self, data):
        return 1.0


class NoStop(ServerLike):
    def completion(self, seen):
        seen.data.pop("stop", None)
        return super().completion(seen)


class Penalises(ServerLike):
    def penalty(self, data):
        return data.get("repetition_penalty", 1.1) != 1.0


@pytest.mark.parametrize("kind", [ServerLike, VllmLike, LlamaCppLike])
async def test_good_servers_ignore_nothing(kind):
    assert await found(kind()) == []


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (OneSeed, ["temperature"]),
        (NoSeed, ["seed"]),
        (NeverGreedy, ["greedy", "seed"]),
        (NoStop, ["stop"]),
        (Penalises, ["penalties"]),
    ],
)
async def test_what_is_ignored_is_named(kind, expected):
    assert await found(kind()) == expected


@pytest.mark.parametrize(("kind", "expected"), [(LlamaCppLike, []), (NoStop, ["stop"])])
async def test_a_template_that_opens_a_thought_says_nothing_of_the_server(kind, expected, tmp_path):
    """A task's stop strings are not sent there, as the thought would end at them; the trial's are."""
    template = tmp_path / "opening.jinja"
    template.write_text("{{ messages[-1].content }}{% if add_generation_prompt %}<think>\n{% endif %}")
    options = Options(template=str(template))
    async with kind() as server, open_model(SELECTOR, endpoints=[server.url], options=options) as model:
        assert [one.asked for one in await ignored(model)] == expected


class Versioned(VllmLike):
    def __init__(self, version, *, seeds=True):
        super().__init__()
        self.pages["/version"] = {"version": version}
        self.seeds = seeds

    def seed(self, data):
        return super().seed(data) if self.seeds else 7


async def test_every_version_of_a_server_is_tried_and_replicas_of_one_share_a_trial():
    async with (
        Versioned("0.32.0") as one,
        Versioned("0.32.0") as same,
        Versioned("0.33.0", seeds=False) as new,
    ):
        urls = [server.url for server in (one, same, new)]
        async with open_model(SELECTOR, endpoints=urls) as model:
            (found,) = await ignored(model)
        asked = [len(server.seen) for server in (one, same, new)]
    assert (found.asked, new.url in found.told) == ("temperature", True)
    assert asked[2] > 0 and 0 in asked[:2] and sum(asked[:2]) > 0, asked


async def test_replicas_of_different_kinds_are_refused():
    async with VllmLike() as one, LlamaCppLike() as other:
        with pytest.raises(UsageError, match=r"has software vllm, .* has llama\.cpp"):
            async with open_model(SELECTOR, endpoints=[one.url, other.url]):
                pass


async def test_transformers_serve_ignores_the_temperature_and_tasks_that_draw_are_refused():
    async with TransformersLike() as server, open_at(server, "m@chat") as model:
        told = []
        (line,) = await unfit(model, DRAWN, told)
        assert line.startswith("mt_bench: m@chat ignores the temperature") and "--decoding greedy" in line
        assert [one.asked for one in told] == ["temperature"]


async def test_a_server_that_is_never_greedy_is_refused_for_greedy_tasks():
    async with NeverGreedy() as server, open_at(server) as model:
        (line,) = await unfit(model, DRAWN, [])
        assert line.startswith("gsm8k: ") and "temperature 0" in line


async def test_doctor_names_it():
    async with OneSeed() as server:
        findings = await asyncio.to_thread(doctor_model, "agentlm-7b@openai", [server.url])
    (one,) = [f for f in findings if "ignores temperature" in f.state]
    assert one.level == "warn" and "three seeds give one text" in one.state
    assert any("unknown" not in f.state and "stand" in f.state for f in findings)


async def test_doctor_says_that_neutral_values_take_out_vllms_own():
    async with VllmLike() as server:
        findings = await asyncio.to_thread(doctor_model, "agentlm-7b@openai", [server.url])
    text = "\n".join(f.state for f in findings)
    assert "as asked" in text and "vLLM changes greedy text by itself" in text


async def test_a_server_that_answers_nothing_is_a_line_and_no_failure_of_doctor():
    broken = json.dumps({"error": {"message": "no"}}).encode()
    async with ServerLike(default=Behaviour(400, broken)) as server, open_at(server) as model:
        (line,) = await unfit(model, DRAWN, [])
    assert "cannot be tried" in line
