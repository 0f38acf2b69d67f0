"""Bounds a wait without a timer where nothing waits."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


async def within(limit_s: float, work: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine for at most so many seconds.

    One that never waits, as a question task's do not, gets no timer, which would cost more than its work.

    Raises:
        TimeoutError: the time is over, or the coroutine raised one.
    """
    try:
        waits_for = work.send(None)
    except StopIteration as done:
        return done.value
    async with asyncio.timeout(limit_s):
        return await _rest(work, waits_for)


@types.coroutine
def _rest(work: Coroutine[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:
    """Go on with a coroutine that was begun by hand and now waits for something."""
    while True:
        try:
            sent = yield waits_for
        except BaseException as thrown:
            step = partial(work.throw, thrown)
        else:
            step = partial(work.send, sent)
        try:
            waits_for = step()
        except StopIteration as done:
            return done.value
