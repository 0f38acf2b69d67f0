"""What one sample's table holds, how statements on it are executed, and the calls every engine answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class TableContent:
    """A table as the sample describes it; every cell becomes text."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, table: dict[str, Any], *, escaped: bool) -> TableContent:
        """Read a sample's table; `escaped` writes column names as upstream does by mistake: as literals."""
        info = table["table_info"]
        columns = tuple(str(column["name"]) for column in info["columns"])
        if escaped:
            columns = tuple(map(escape, columns))
        return cls(table["table_name"], columns, tuple(tuple(map(str, row)) for row in info["rows"]))


@dataclass(frozen=True, slots=True)
class ExecutionOptions:
    """How statements are executed.

    Attributes:
        seconds: longest one may take.
        several: what becomes of a batch: emulate, reject or allow.
        keywords: refuse names that MySQL 8 reserves, as MariaDB does not.
    """

    seconds: float = 10.0
    several: str = "emulate"
    keywords: bool = True


class Table(Protocol):
    """What an episode works on."""

    async def open(self) -> str:
        """Create and load it; returns why that failed, or nothing."""
        ...

    async def execute(self, statement: str) -> str:
        """Execute what the model wrote and return what it sees."""
        ...

    async def state(self) -> str:
        """The final table's hash, printed as the stored ones are; an error's text when it has none."""
        ...

    async def close(self) -> None:
        """Remove it. Idempotent."""
        ...


def quoted(name: str) -> str:
    """Quote an identifier."""
    return "`" + name.replace("`", "``") + "`"


def escape(name: str) -> str:
    """Upstream's defect: the escapes of a string literal, in the name of a column."""
    for plain, spoiled in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("'", "\\'"), ('"', '\\"')):
        name = name.replace(plain, spoiled)
    return name
