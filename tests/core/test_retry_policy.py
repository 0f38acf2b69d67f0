"""What follows an infrastructure failure."""

from __future__ import annotations

import logging

from harness.running.retry_policy import ENDPOINT_FAILURES, TASK_FAILURES, RetryPolicy
from harness.storage.store import Attempt


def broken(error: str = "RuntimeError: no", task: str = "toy") -> Attempt:
    return Attempt(task, 1, "s", 0, error=error)


def test_an_environment_gets_a_second_try_and_no_third():
    policy = RetryPolicy()
    assert policy.failed(broken(), 1) == "retry"
    assert policy.failed(broken(), 2) == "give up"


def test_a_dead_endpoint_is_told_from_a_shaky_one():
    policy = RetryPolicy()
    gone = broken("EndpointError: nobody")
    for _ in range(ENDPOINT_FAILURES - 1):
        assert policy.failed(gone, 1) == "give up"
    policy.success("other")
    assert policy.failed(gone, 1) == "give up", "somebody answered in between"
    assert [policy.failed(gone, 1) for _ in range(ENDPOINT_FAILURES - 1)][-1] == "end the run"


def test_a_task_that_only_fails_is_given_up_alone():
    policy = RetryPolicy()
    decisions = [policy.failed(broken(), 1) for _ in range(TASK_FAILURES)]
    assert decisions[-1] == "end the task"
    assert policy.failed(broken(task="other"), 1) == "retry"


def test_the_same_failure_is_logged_three_times(caplog):
    policy = RetryPolicy()
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            policy.failed(broken(), 1)
        policy.failed(broken("RuntimeError: other"), 1)
    assert len(caplog.records) == 4


def test_a_missing_record_is_not_tried_again_and_never_gives_a_task_up():
    policy = RetryPolicy()
    for _ in range(2 * TASK_FAILURES):
        assert policy.failed(broken("MissingRecord: the snapshot has no answer to x"), 1) == "give up"
