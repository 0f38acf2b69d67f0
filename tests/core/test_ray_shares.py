"""The requests in flight of a run on several workers: divided among those that play, whoever is lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from loopback_server import serving_from_a_thread
from workers import INFO, Threads, ThreadWorker, played, request, transcripts

from harness.running.ray_executor.messages import Opened, Opening
from harness.running.ray_executor.places import WorkerLost

TOGETHER_S = 60.0
"""How long a request waits for others to be in flight with it."""


class Together:
    """A TGI server that answers none of its requests before so many were in flight at once.

    Attributes:
        most: requests in flight at once.
    """

    def __init__(self, wanted: int) -> None:
        self.wanted, self.flying, self.most = wanted, 0, 0
        self.reached = asyncio.Event()

    async def answer(self, asked: web.Request) -> web.Response:
        if asked.path == "/info":
            return web.json_response(INFO)
        if not asked.path.startswith("/generate"):
            return web.json_response({})
        await asked.read()
        self.flying += 1
        self.most = max(self.most, self.flying)
        if self.flying == self.wanted:
            self.reached.set()
        try:
            await asyncio.wait_for(self.reached.wait(), TOGETHER_S)
        except TimeoutError:
            self.reached.set()  # the test fails by `most`, and ends
        self.flying -= 1
        details = {"finish_reason": "eos_token", "generated_tokens": 5, "prefill": [], "tokens": []}
        return web.json_response({"generated_text": "The answer is 4.", "details": details})


class Gone(ThreadWorker):
    """A worker whose node ends while it starts."""

    async def open(self, opening: Opening) -> Opened:
        await super().open(opening)
        raise WorkerLost("its node is gone", forever=True)


def refused() -> ThreadWorker:
    """A worker with another harness, which plays nothing."""
    return ThreadWorker(lambda opening: replace(opening, package="0.0.1 (feed)"))


@pytest.mark.parametrize("first", [Gone, refused])
def test_the_share_of_a_worker_that_is_gone_goes_to_those_that_are_left(first, tmp_path: Path):
    served = Together(wanted=4)
    with serving_from_a_thread(served.answer) as (url,):
        asked = request(tmp_path / "run", "gsm8k", model="agentlm-7b", endpoints=(url,), concurrency=4)
        there = Threads(first, ThreadWorker)
        assert played(asked, there).exit_code == 0
    assert there.workers[1].requests == 4
    assert served.most == 4, "its requests in flight were lost with it"
    assert len(transcripts(tmp_path / "run")) == 16


def test_workers_that_play_have_no_more_in_flight_than_the_run(tmp_path: Path):
    served = Together(wanted=5)
    with serving_from_a_thread(served.answer) as (url,):
        asked = request(tmp_path / "run", "gsm8k", model="agentlm-7b", endpoints=(url,), concurrency=5)
        there = Threads(ThreadWorker, ThreadWorker, ThreadWorker)
        assert played(replace(asked, workload=replace(asked.workload, repeats=4)), there).exit_code == 0
    assert served.most == 5
    assert len(transcripts(tmp_path / "run")) == 64
