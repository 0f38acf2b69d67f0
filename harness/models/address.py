"""Checks the addresses of endpoints: they are stored and shown, so that they must hold no key."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from harness.errors import UsageError


def check_address(url: str) -> None:
    """Refuse what is not `http://host:port` with a path at most.

    Raises:
        UsageError: it is no such URL, or holds a password or a query, which the message does not repeat.
    """
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"endpoint {url!r} is not a URL; write http://host:port")
    if parts.username or parts.password:
        raise UsageError(
            f"the endpoint at {parts.hostname} has a password in its URL; put the token in a variable"
        )
    if parts.query or parts.fragment:
        raise UsageError(f"the endpoint at {parts.hostname} has more than a path; write http://host:port")


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 else None
    except ValueError:  # brackets around no address, or a port that is none
        return None
