"""ReWOO's tools in a run: parallel equals sequential, roles and keys, record and replay."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import fakes_web as fakes
import pytest
from contexts import samples_of
from web_play import Player, context, fixture_of, play, sample, scored

from harness.types import Ask, Message, Reply
from tasks.rewoo.task import TASK

FIXTURE = fixture_of(TASK)


class Echo:
    """A tool model whose answer follows from its prompt, after a wait that does not."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def ask(self, key: str, messages: tuple[Message, ...] | str, ask: Ask) -> Reply:
        self.keys.append(key)
        for _ in range(len(self.keys) * 7 % 5):
            await asyncio.sleep(0)
        text = messages if isinstance(messages, str) else messages[-1].content
        return Reply(f"```text\n{len(text)}\n```" if isinstance(messages, str) else f"said {len(text)}")


def two(plan: str, answer: str = "") -> Player:
    return lambda observation: plan if observation.info["stage"] == "plan" else answer


PLAN = """Plan: a
#E1 = Wikipedia[Merrow]
Plan: b
#E2 = LLM[capital? #E1]
Plan: c
#E3 = Calculator[6 * 7]
Plan: d
#E4 = SearchSOTU[boats]
Plan: e
#E5 = LLM[all of #E2 #E3 #E4 #E9]
Plan: f
#E6 = Google[#E5]"""


@pytest.mark.parametrize("profile", ["paper", "fixed"])
async def test_parallel_and_sequential_runs_are_equal(tmp_path: Path, profile: str):
    async def run(parallel: bool) -> list[Any]:
        ctx = context(TASK, FIXTURE, tmp_path, profile, ["tool_llm"], parallel=parallel)
        chats = {"tool_llm": Echo()}
        items = samples_of(TASK, ctx, "test")
        together = (play(TASK, ctx, item, two(PLAN, str(item.data["answer"])), chats) for item in items)
        return [
            (score, [o.messages for o in seen], seen[1].info)
            for score, seen in await asyncio.gather(*together)
        ]

    assert await run(parallel=True) == await run(parallel=False)


async def test_role_keys_are_unique_in_an_episode(tmp_path: Path):
    echo = Echo()
    ctx = context(TASK, FIXTURE, tmp_path, roles=["tool_llm"])
    for item in samples_of(TASK, ctx, "test"):
        echo.keys.clear()
        plan = two("Plan: a\n#E1 = LLM[x]\nPlan: b\n#E2 = LLM[x]")
        await play(TASK, ctx, item, plan, {"tool_llm": echo})
        assert len(set(echo.keys)) == len(echo.keys) == 2


# -- roles, keys, record and replay


async def test_what_is_missing_is_named_with_its_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SERPER_API_KEY", raising=False)
    monkeypatch.delenv("WOLFRAM_ALPHA_APPID", raising=False)
    monkeypatch.delenv("HARNESS_CONTACT", raising=False)
    needs = TASK.needs(context(TASK, FIXTURE, tmp_path, tools="live"))
    missing = "\n".join(f"{need.name} {need.missing()}: {need.fix}" for need in needs if need.missing())
    for words in (
        "--role tool_llm",
        "SERPER_API_KEY",
        "rewoo.google=unavailable",
        "WOLFRAM",
        "tools=keyless",
    ):
        assert words in missing


async def test_record_everything_once_and_replay_it_with_no_role_key_or_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SERPER_API_KEY", "serper-key")
    monkeypatch.setenv("WOLFRAM_ALPHA_APPID", "wolfram-key")
    wiki = fakes.FakeWiki(pages={"Merrow": "Merrow is an island."})
    search = fakes.FakeSearch(
        google={"boats": {"answerBox": {"answer": "eleven"}}}, wolfram={"2x=4": "x = 2"}
    )
    plan = (
        "Plan: a\n#E1 = Wikipedia[Merrow]\nPlan: b\n#E2 = Google[boats]\nPlan: c\n#E3 = WolframAlpha[2x=4]\n"
        "Plan: d\n#E4 = LLM[#E1 #E2]\nPlan: e\n#E5 = Calculator[#E3]"
    )
    echo = Echo()
    async with fakes.serve_wiki(wiki), fakes.serve_search(search) as (serper, alpha):
        shared: dict[str, Any] = {
            "snapshot": str(tmp_path / "all.sqlite"),
            "web_rate": 9999.0,
            "wiki_endpoint": wiki.url,
            "google_endpoint": serper,
            "wolfram_endpoint": alpha,
        }
        recording = context(
            TASK,
            FIXTURE,
            tmp_path,
            tools="record",
            contact="t@example.org",
            roles=["tool_llm"],
            **shared,
        )
        item = sample(TASK, recording, "strategy_qa/00")
        first, seen = await play(TASK, recording, item, two(plan, "No"), {"tool_llm": echo})
    assert [row[3] for row in seen[1].info["evidence"]][:3] == ["Merrow is an island.", "eleven", "x = 2"]
    counts = len(wiki.seen), len(search.seen), len(echo.keys)
    assert counts == (3, 2, 2)
    monkeypatch.delenv("SERPER_API_KEY")
    monkeypatch.delenv("WOLFRAM_ALPHA_APPID")
    replaying = context(TASK, FIXTURE, tmp_path, tools="replay", **shared)
    again, replayed = await play(TASK, replaying, item, two(plan, "No"))
    assert [o.messages for o in replayed] == [o.messages for o in seen]
    assert {row[4] for row in replayed[1].info["evidence"]} == {"replay"}
    assert scored(again).value == scored(first).value == 1.0
    assert scored(again).metrics["snapshot_miss"] == 0.0
    assert "wiki replay (7 answers, sha256 " in scored(again).note
    missed, _ = await play(
        TASK, replaying, item, two("Plan: a\n#E1 = LLM[new]\nPlan: b\n#E2 = Wikipedia[new]", "No")
    )
    assert scored(missed).metrics["snapshot_miss"] == 1.0
    assert "env_incomplete: 2 inputs" in scored(missed).note
