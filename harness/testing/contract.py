"""All lines of the contract in one class that a task's test file inherits."""

from __future__ import annotations

from harness.testing.declared import Declared
from harness.testing.played import Played


class TaskContract(Played, Declared):
    """The contract every task keeps, on its own fixture with its real parts.

    A task may except itself from at most two lines (`TaskSpec.excepts`). A part of the task that is missing
    here skips the tests, or fails them where the variable CI is set.
    """
