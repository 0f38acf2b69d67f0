"""Which environment variables travel to workers, and which are kept from Ray."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from harness.catalog import models
from harness.models.roles import parse_role
from harness.running.request import ModelChoice

_SECRET = re.compile("TOKEN|SECRET|PASSWORD|CREDENTIAL|API_?KEY|ACCESS_?KEY", re.IGNORECASE)


def travelling(choice: ModelChoice) -> dict[str, str]:
    """The harness's own variables, and the API keys of the models that workers ask.

    They are sent from process to process, with the call that opens a worker: a runtime environment is stored
    and logged by Ray.
    """
    names = {"OPENAI_API_KEY", choice.entry().api_key_env}
    for role in map(parse_role, choice.roles):
        entry = models.known(role.selector)[0]
        names |= {entry.api_key_env} if entry else set()
    return {
        name: value
        for name, value in os.environ.items()
        if (name in names or name.startswith("HARNESS_")) and value
    }


def adopt(settings: Mapping[str, str]) -> None:
    """Take the variables that this process does not have."""
    for name, value in settings.items():
        os.environ.setdefault(name, value)


@contextmanager
def without_secrets() -> Generator[None]:
    """Take what looks like a secret out of the environment, so that no process started here inherits it.

    Ray's own variables stay: its token lets processes of a cluster talk to each other.
    """
    hidden = {
        name: value
        for name, value in os.environ.items()
        if _SECRET.search(name) and not name.startswith("RAY_")
    }
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)
