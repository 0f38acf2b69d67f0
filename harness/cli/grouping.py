"""Hands a command its options as a few typed objects in place of many arguments."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from typing import Any


def grouped(**kinds: type[Any]) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Decorate a command below its options, so that it gets one object for each keyword.

    An option goes to the dataclass that has a field of its name; all others are passed as they are.

    Args:
        kinds: dataclasses by the name of the command's parameter.
    """

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(command)
        def gathered(**given: Any) -> int:
            for name, kind in kinds.items():
                own = {field.name: given.pop(field.name) for field in fields(kind) if field.name in given}
                given[name] = kind(**own)
            return command(**given)

        return gathered

    return decorate
