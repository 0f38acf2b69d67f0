"""Which tests go to the same worker of pytest-xdist, so that what they share is made once."""

from __future__ import annotations

import re


def scope(nodeid: str) -> str:
    """What a test is sent along with: its file; of a class those with the same first parameter (a task)."""
    name, _, parameters = nodeid.partition("[")
    file, *classes, _ = name.split("::")
    return "::".join([file, *classes, re.split("[]-]", parameters)[0]]) if classes else file
