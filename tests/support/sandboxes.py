"""Sandboxes for tests: on the host's programs, or on the OS task's system."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from harness.data import cache_folder
from harness.errors import MissingPart
from tasks._shared.sandbox import Sandbox, host_python, open_sandbox
from tasks.os.image import built_root

HOSTNAME = "0123456789ab"


@asynccontextmanager
async def opened(backend: str = "bwrap") -> AsyncIterator[Sandbox]:
    """A working backend on the host's programs, or a skip (in CI, for bwrap, a failure) with the reason."""
    try:
        async with open_sandbox({backend: host_python()}) as sandbox:
            yield sandbox
    except MissingPart as error:
        if os.environ.get("CI") and backend == "bwrap":
            raise
        pytest.skip(str(error))


@asynccontextmanager
async def system() -> AsyncIterator[Sandbox]:
    """A working bwrap backend on the OS task's system, or a skip (in CI a failure) with the reason."""
    try:
        async with open_sandbox({"bwrap": built_root(cache_folder())}) as sandbox:
            yield sandbox
    except MissingPart as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
