"""The contract every registered task keeps: the class that packages of others inherit, for all tasks here."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import sent_parameters

from harness.catalog import registry
from harness.running.bench import Attempt, Bench
from harness.running.results import Decoding
from harness.testing import TaskContract
from harness.testing.opened import in_loop


def as_set(sent: object) -> list[str]:
    assert isinstance(sent, list)
    return sorted(repr(sorted(one.items())) for one in sent)


class TestContract(TaskContract):
    @pytest.fixture(scope="class", params=registry.names())
    @classmethod
    def task_name(cls, request: pytest.FixtureRequest) -> str:
        return request.param

    @pytest.mark.parametrize("decoding", sent_parameters.DECODINGS)
    @in_loop
    async def test_requests_carry_what_the_paper_or_its_scripts_sent(
        self, bench: Bench, alone: Mapping[str, Attempt], decoding: Decoding
    ) -> None:
        """Of every call that the oracle needs, the parameters as they arrive at a server."""
        turns = [call.turn for attempt in alone.values() for call in attempt.calls]
        asks = {turn.ask for turn in turns if turn is not None and turn.ask is not None}
        assert asks
        spec = bench.task.spec
        arrived = await sent_parameters.sent(spec, sorted(asks, key=repr), decoding)
        assert as_set(arrived) == as_set(sent_parameters.SENT[spec.name][decoding])

    def test_scores_say_what_was_read_and_what_was_wanted(
        self, bench: Bench, alone: Mapping[str, Attempt]
    ) -> None:
        scores = [bench.score(attempt) for attempt in alone.values()]
        texts = [
            (a.answer or s.answer, a.target or s.target) for a, s in zip(alone.values(), scores, strict=True)
        ]
        # A page without the right element has no target to name.
        assert all(wanted for _, wanted in texts) or bench.task.spec.private
        # Not all have an answer: some of the OS task's problems want a changed system.
        assert any(read for read, _ in texts)


def test_every_tasks_parameters_are_written_down() -> None:
    assert sent_parameters.unlisted() == set()
