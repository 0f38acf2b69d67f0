"""Confirms, as a run goes on, that every endpoint still serves the model it served at the start."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence

from harness.catalog.models import Entry
from harness.errors import ModelChanged
from harness.models.clients.identity import root, served_id
from harness.models.clients.probe import alive, probe
from harness.models.clients.transport import Transport
from harness.models.pool.capabilities import Capabilities
from harness.models.pool.endpoint import Endpoint
from harness.models.pool.faults import Fault

log = logging.getLogger(__name__)

LISTED_S = 5.0
"""Age up to which a list of models still holds for new answers; such a server takes longer to restart."""


class Confirmation:
    """Asks each endpoint again what it serves, after answers, and ends the run's requests when that changed.

    TGI's /info costs it nothing: an answer counts once a probe that began after it agrees, and answers that
    arrive together share one probe. Other servers are asked at most every LISTED_S, and after a failure.

    Args:
        transport: carries the probes.
        entry: the model's; those that run inside the harness's process are not asked.
    """

    def __init__(self, transport: Transport, entry: Entry) -> None:
        self._transport, self._entry = transport, entry
        self._openai = entry.kind in ("openai", "chat")
        self._agreed: dict[Endpoint, tuple[float, int]] = {}
        """When the last probe that agreed began, and how many requests had failed by then."""
        self._running: dict[Endpoint, asyncio.Event] = {}
        """Endpoints that are being probed, and what tells when that is over."""
        self._coming: dict[Endpoint, asyncio.Event] = {}
        """The same of the probe after that one: it counts for what arrives until it begins."""
        self._changed: ModelChanged | None = None
        self.abort: Callable[[Exception], None] = lambda error: None

    async def alive(self, endpoint: Endpoint, others: Sequence[Endpoint]) -> bool:
        """Whether an endpoint outside the pool is back, with the model that it and all others served."""
        return await alive(self._transport, endpoint, others, self._compare)

    def _compare(self, endpoint: Endpoint, now: Capabilities) -> ModelChanged | None:
        """What to raise when an endpoint serves another model now; all requests that wait fail with it."""
        known = endpoint.capabilities
        if known is None or not (change := _change(self._entry, known, now)):
            return None
        if self._changed is None:
            self._changed = ModelChanged(
                f"{endpoint.url} serves another model than when the run began: {change}; what was stored "
                "before stands. Start that model again and repeat the command, or give --new"
            )
            self.abort(self._changed)
        return self._changed

    async def confirm(self, endpoint: Endpoint) -> None:
        """Return when an endpoint that has just answered still serves the same model.

        Raises:
            ModelChanged: it serves another one.
        """
        if self._entry.local:
            return
        if self._changed is not None:
            raise self._changed
        known, clock = endpoint.capabilities, asyncio.get_running_loop().time
        if known is None or not known.model_id:
            return
        arrived, failed = clock() - (0.0 if known.version else LISTED_S), endpoint.faults.total()
        while not self._holds(endpoint, arrived, failed):
            if (coming := self._coming.get(endpoint)) is not None:
                await coming.wait()
            elif not await self._ask_next(endpoint):
                return

    def _holds(self, endpoint: Endpoint, arrived: float, failed: int) -> bool:
        """Whether a probe agreed that began after an answer arrived, with no failure between."""
        began, failures = self._agreed.get(endpoint, (-math.inf, 0))
        return began >= arrived and failures >= failed

    async def _ask_next(self, endpoint: Endpoint) -> bool:
        """Probe an endpoint once the probe that runs now is over, for all answers that arrive until then.

        Each answer so waits for one probe, and all go on together, not one after the other as with a lock.

        Returns:
            False when the endpoint does not answer.

        Raises:
            ModelChanged: it serves another model.
        """
        over = self._coming[endpoint] = asyncio.Event()
        try:
            if (running := self._running.get(endpoint)) is not None:
                await running.wait()
            if self._changed is not None:
                raise self._changed
            self._running[endpoint] = self._coming.pop(endpoint)
            return await self._ask(endpoint)
        finally:
            for waited_for in (self._coming, self._running):
                if waited_for.get(endpoint) is over:
                    del waited_for[endpoint]
            over.set()

    async def _ask(self, endpoint: Endpoint) -> bool:
        began, failed = asyncio.get_running_loop().time(), endpoint.faults.total()
        try:
            now = await probe(self._transport, endpoint.url, openai=self._openai)
        except Fault as fault:  # it answered a moment ago: the next answer is confirmed
            log.debug("%s cannot be confirmed: %s", endpoint.url, fault)
            return False
        if changed := self._compare(endpoint, now):
            raise changed
        self._agreed[endpoint] = began, failed
        return True


def _change(entry: Entry, before: Capabilities, now: Capabilities) -> str:
    """What of a server's model is another than before; empty when nothing is, or it tells nothing now."""
    if not now.model_id and now.server == "generic":
        return ""
    known, told = _told(entry, before), _told(entry, now)
    if set(known["model_id"].split(",")) <= set(told["model_id"].split(",")):
        told["model_id"] = known["model_id"]  # a list of models may grow
    changed = (key for key in known if known[key] != told[key])
    return "; ".join(f"{key} {known[key] or 'none'} then, {told[key] or 'none'} now" for key in changed)


def _told(entry: Entry, able: Capabilities) -> dict[str, str]:
    return {"model_id": served_id(entry, able), "model_sha": able.model_sha, "root": root(entry, able)}
