"""One worker: plays the episodes it is handed, in worlds and with connections of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from harness.errors import HarnessError
from harness.models import outside
from harness.models.api import LiveEpisodes
from harness.running import patience
from harness.running import plan as planning
from harness.running.plan import Plan
from harness.running.ray_executor import same
from harness.running.ray_executor.messages import TIMES_UP_S, Handed, Line, Opened, Opening, Report
from harness.running.ray_executor.session import Session, with_requests
from harness.running.run_model import open_roles, open_tested
from harness.running.task_player import OpenModels
from harness.storage.scratch import scratch

OPEN_S, ANSWER_S, CLOSE_S = 900.0, 60.0, 60.0
"""Longest that checking the data and opening the model, answering beyond `TIMES_UP_S`, and closing take."""

log = logging.getLogger(__name__)
T = TypeVar("T")


class WorkerPlayer:
    """Plays on an event loop in a thread of its own; its methods are called from one other thread.

    Args:
        lines: log lines to report; somebody else puts them in.
    """

    def __init__(self, lines: deque[Line] | None = None) -> None:
        self._lines: deque[Line] = deque() if lines is None else lines
        self._opened: Future[Opened] = Future()
        self._thread: threading.Thread | None = None
        self._session: Session | None = None
        self._failed: BaseException | None = None

    def open(self, opening: Opening) -> Opened:
        """Check that this machine can play, open the model, begin; a world opens with its first episode."""
        self._thread = threading.Thread(target=self._main, args=(opening,), name="episodes", daemon=True)
        self._thread.start()
        return self._opened.result(OPEN_S)

    def exchange(self, handed: Sequence[Handed], over: Sequence[str], *, stop: bool, requests: int) -> Report:
        """Take episodes and report; waits up to `TIMES_UP_S` for something to report.

        Args:
            handed: to be played.
            over: tasks of which nothing more is wanted from this worker; what waits is dropped.
            stop: start nothing more; what waits is returned.
            requests: this worker's share of those in flight, which grows where another worker is gone.
        """
        session = self._session
        if session is None or self._failed is not None:
            raise RuntimeError(f"the worker ended: {self._failed!r}")
        work = session.exchange(handed, over, stop=stop, requests=requests)
        return self._call(session, work, TIMES_UP_S + ANSWER_S)

    def close(self) -> None:
        """Abort what is live, and close worlds and connections. Idempotent."""
        if (session := self._session) is not None:
            with contextlib.suppress(RuntimeError):  # its loop ended already
                session.loop.call_soon_threadsafe(session.end)
        if self._thread is not None:
            self._thread.join(CLOSE_S)

    @staticmethod
    def _call(session: Session, work: Coroutine[Any, Any, T], limit_s: float) -> T:
        return asyncio.run_coroutine_threadsafe(work, session.loop).result(limit_s)

    def _main(self, opening: Opening) -> None:
        try:
            own = same.package()
            if own != opening.package:
                told = f"it has the harness {own}, and the command runs {opening.package}"
                self._opened.set_result(Opened(f"{told}: install the same on all nodes"))
                return
            patience.run(self._play(opening, planning.make(opening.request)))
        except BaseException as error:
            self._failed = error
            told = outside.line(str(error) if isinstance(error, HarnessError) else repr(error))
            if self._opened.done():
                log.error("the worker ended: %s", told)
            else:
                self._opened.set_result(Opened(told))

    async def _play(self, opening: Opening, plan: Plan) -> None:
        missing = same.cannot_play(plan, opening.tasks)
        tasks = {task.spec.name: task for task in plan.tasks if task.spec.name in opening.tasks}
        async with AsyncExitStack() as stack:
            work, live = stack.enter_context(scratch("harness-run-")), LiveEpisodes()
            # Opened for all requests, which this worker may get once it is the last one left.
            whole = with_requests(opening.request, opening.most)
            tested = await stack.enter_async_context(open_tested(whole, live))
            if other := same.other_model(opening.identity, tested.info["identity"]):
                self._opened.set_result(Opened(other))
                return
            roles = await open_roles(opening.request, tested, live, stack)
            session = Session(opening, tasks, OpenModels(tested, live, roles), work, self._lines)
            self._session = session
            self._opened.set_result(Opened("", missing, session.spare))
            with contextlib.suppress(asyncio.CancelledError):
                await session.run()
