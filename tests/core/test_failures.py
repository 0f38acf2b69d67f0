"""What follows an infrastructure failure."""

from __future__ import annotations

import logging

from harness.running.retry_policy import DEAD_ENDPOINT, DEAD_TASK, Failures
from harness.storage.store import Attempt


def broken(error: str = "RuntimeError: no", task: str = "toy") -> Attempt:
    return Attempt(task, 1, "s", 0, error=error)


def test_an_environment_gets_a_second_try_and_no_third():
    failures = Failures()
    assert failures.failed(broken(), 1) == "again"
    assert failures.failed(broken(), 2) == "leave"


def test_a_dead_endpoint_is_told_from_a_shaky_one():
    failures = Failures()
    gone = broken("EndpointError: nobody")
    for _ in range(DEAD_ENDPOINT - 1):
        assert failures.failed(gone, 1) == "leave"
    failures.success("other")
    assert failures.failed(gone, 1) == "leave", "somebody answered in between"
    assert [failures.failed(gone, 1) for _ in range(DEAD_ENDPOINT - 1)][-1] == "endpoint is dead"


def test_a_task_that_only_fails_is_given_up_alone():
    failures = Failures()
    decisions = [failures.failed(broken(), 1) for _ in range(DEAD_TASK)]
    assert decisions[-1] == "task is dead"
    assert failures.failed(broken(task="other"), 1) == "again"


def test_the_same_failure_is_logged_three_times(caplog):
    failures = Failures()
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            failures.failed(broken(), 1)
        failures.failed(broken("RuntimeError: other"), 1)
    assert len(caplog.records) == 4


def test_a_missing_record_is_not_tried_again_and_never_gives_a_task_up():
    failures = Failures()
    for _ in range(2 * DEAD_TASK):
        assert failures.failed(broken("MissingRecord: the snapshot has no answer to x"), 1) == "leave"
