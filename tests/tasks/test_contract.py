"""The contract every registered task keeps: the class that packages of others inherit, for all tasks here."""

from __future__ import annotations

import pytest

from harness.catalog import registry
from harness.testing import TaskContract

TASKS = [pytest.param(name, marks=pytest.mark.xdist_group(f"contract-{name}")) for name in registry.names()]


class TestContract(TaskContract):
    @pytest.fixture(scope="class", params=TASKS)
    @classmethod
    def task_name(cls, request: pytest.FixtureRequest) -> str:
        return request.param
