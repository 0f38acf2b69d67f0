"""The contract test for a benchmark's own package; it needs only pytest and the harness.

A test file of three lines runs it on the task's fixture::

    from harness.testing import TaskContract

    class TestGuess(TaskContract):
        task = "guess"  # its name, or the path of a question set
"""

import pytest

pytest.register_assert_rewrite("harness.testing.declared", "harness.testing.played")

from harness.testing.contract import TaskContract  # noqa: E402

__all__ = ["TaskContract"]
