"""The kinds of failure that the harness distinguishes; every message names the fix."""

from __future__ import annotations

from typing import cast


class HarnessError(Exception):
    """Base of everything the harness raises on purpose."""


def cause(error: BaseException) -> BaseException:
    """Unwrap a task group's failure: the harness's own errors first, then any other."""
    while isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        known = [one for one in map(cause, group.exceptions) if isinstance(one, HarnessError)]
        error = (known or group.exceptions)[0]
    return error


class UsageError(HarnessError):
    """The command cannot be carried out as given; exit code 2, nothing was sent."""


class MissingPart(UsageError):
    """Data, a package, a program or an endpoint is missing; the message says how to get it."""


class DataError(UsageError):
    """A data file is corrupt or not the one that is pinned."""


class InfraError(HarnessError):
    """Endpoint, environment or role failed: retried, then left out of the score; reports say how many."""


class EnvironmentFault(InfraError):
    """The environment crashed or did not answer; the loop rebuilds the episode and replays its replies."""


class MissingRecord(InfraError):
    """The replayed recording holds no answer to a question.

    It is not retried. Where an episode goes on without the answer, the task reports the coverage.
    """


class EndpointError(InfraError):
    """No endpoint could answer before the request's deadline."""


class ModelChanged(InfraError):
    """An endpoint serves another model than when the run began; the run ends and keeps what is stored."""


class OtherModel(UsageError):
    """An endpoint serves another model than the one that was named.

    Attributes:
        selector: what was given as `--model` (or for a role).
        named: what to give instead, to run the served model under its own name.
    """

    def __init__(self, message: str, *, selector: str, named: str) -> None:
        super().__init__(message)
        self.selector = selector
        self.named = named


class TokenBoundaryError(InfraError):
    """A choice cannot be scored at this endpoint: it does not start at a token boundary."""


class RequestRejected(InfraError):
    """The server refused the request for a reason that stays on a retry (a 4xx that is not about length)."""


class ModelError(HarnessError):
    """The model, not the infrastructure, is the reason the episode ended."""


class ContextOverflow(ModelError):
    """The prompt does not fit the model's context.

    Attributes:
        limit: tokens the server accepts, 0 when it did not say.
        given: tokens it was given, 0 when it did not say.
    """

    def __init__(self, message: str, *, limit: int = 0, given: int = 0) -> None:
        super().__init__(message)
        self.limit = limit
        self.given = given


class StoreError(HarnessError):
    """The run's store cannot be written or read; the run stops before work is lost."""


class OtherStore(StoreError):
    """The file is a newer harness's or another program's; exit code 2: repeating is no help."""
