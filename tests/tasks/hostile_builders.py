"""Builds texts of any size that a pattern or a loop would read again and again."""

from __future__ import annotations

from collections.abc import Callable

Worst = str | tuple[str, str] | Callable[[int], str]
"""A unit that is repeated, or what stands before it and the unit, or a function of the size."""

COMMON: tuple[Worst, ...] = (
    "a",
    " ",
    "\n",
    "a ",
    "5",
    "5 ",
    ("x", "["),
    "]",
    "`",
    "#",
    "(",
    "-",
    ".",
    ",",
    "\t\n",
)


def halves(first: str, second: str) -> Callable[[int], str]:
    """A text whose first half repeats one thing and whose second half another."""
    return lambda size: first * (size // 2 // len(first)) + second * (size // 2 // len(second))


def called(unit: str, *, value: str = "x") -> Callable[[int], str]:
    """A plan whose second call names variables without end."""
    return lambda size: f"#E1 = {value}\n#E2 = LLM[" + unit * (size // len(unit)) + "]"


def numbered(line: str) -> Callable[[int], str]:
    """Lines with numbers that rise from 10."""
    return lambda size: "".join(line.format(n) for n in range(10, 10 + size // (len(line) + 2)))


def counted(unit: str) -> Callable[[int], str]:
    """The unit with a number that rises, so that it never repeats itself."""
    return lambda size: "".join(unit.format(n) for n in range(10**4, 10**4 + size // (len(unit) + 3)))


def listed(item: Callable[[int], str], marks: str) -> Callable[[int], str]:
    """A list of as many items as the size holds."""

    def build(size: int) -> str:
        count = size // (len(item(5000)) + 1)
        return marks[0] + ",".join(item(n) for n in range(1, count)) + marks[1]

    return build


def defined_and_called(size: int) -> str:
    """Many variables, and one call that names them all."""
    names = [f"#E{n}" for n in range(10, 10 + size // 12)]
    return "".join(f"{name}=\n" for name in names) + f"#E9 = LLM[{''.join(names)}]"


def many_calls_of_much(line: str) -> Callable[[int], str]:
    """A long evidence that the rest of the plan names again and again."""
    return lambda size: "#E1 = " + "x" * (size // 2) + "\n" + line * (size // 2 // len(line))


COLLIDING_INT = lambda n: str(n * ((1 << 61) - 1))  # noqa: E731  (all of them have the hash 0)
COLLIDING = lambda n: f"{-1000003 * n}+{n}j"  # noqa: E731  (the same)


def built(worst: Worst, size: int) -> str:
    if callable(worst):
        return worst(size)
    head, unit = ("", worst) if isinstance(worst, str) else worst
    return head + unit * (size // len(unit))
