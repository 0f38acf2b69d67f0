"""Lets these tests import the helpers that stand beside them, and opens the task of a contract test."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from harness.catalog import registry

sys.path.insert(0, str(Path(__file__).parent))

from contract_bench import Bench, open_bench

TASKS = [pytest.param(name, marks=pytest.mark.xdist_group(f"contract-{name}")) for name in registry.names()]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=TASKS)
async def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        yield await open_bench(request.param, "paper", tmp_path_factory.mktemp("work"), stack)
