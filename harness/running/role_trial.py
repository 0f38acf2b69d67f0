"""Tries the model of a role before it is needed, with fixes in the words that name a role."""

from __future__ import annotations

from harness.models.api import Model
from harness.models.roles import RoleSpec
from harness.models.trial import Typed, trial


async def try_role(role: RoleSpec, model: Model) -> list[str]:
    """Send each endpoint of a role's model one short request; lines for those that cannot be used.

    Args:
        role: as it was typed.
        model: what it opened.
    """
    word = "--judge " if role.role == "judge" else f"--role {role.role}="
    urls = f"@{','.join(role.endpoints)}" if role.endpoints else ""
    typed = Typed(f"{word}{{}}{urls}", f"HARNESS_{role.role.upper()}_API_KEY")
    return [f"role {role.role}: {trouble}" for trouble in await trial(model, typed)]
