"""What all workers of a run do together, for its display and its heartbeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.running.look import EndpointLook, Look


def summed(turns: Mapping[str, tuple[int, ...]], looks: Sequence[Look]) -> Look:
    """Add up the looks of workers; an endpoint is up while one worker finds it so."""
    endpoints: dict[str, EndpointLook] = {}
    for one in (endpoint for look in looks for endpoint in look.endpoints):
        before = endpoints.get(one.url, EndpointLook(one.url, False, 0, 0, 0))
        endpoints[one.url] = EndpointLook(
            one.url,
            before.healthy or one.healthy,
            before.flying + one.flying,
            before.limit + one.limit,
            before.answered + one.answered,
        )
    outages = [look.outage_s for look in looks if look.outage_s is not None]
    return Look(
        turns,
        tuple(endpoints.values()),
        sum(look.flying for look in looks),
        sum(look.queued for look in looks),
        sum(look.tokens for look in looks),
        min(outages) if looks and len(outages) == len(looks) else None,
        max((look.deadline_s for look in looks), default=0.0),
    )
