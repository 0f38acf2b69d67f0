"""Database's task: its options, its samples and how their parts are joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from harness.episode import BaseTask, World
from harness.needs import Need, notice, open_files, package
from harness.types import Context, Limits, Macro, Row, Sample, TaskConfig, TaskSpec, option
from tasks.dbbench import rows, score
from tasks.dbbench.episode import ROUNDS
from tasks.dbbench.oracle import DbOracle


@dataclass(frozen=True, slots=True)
class DbBenchOptions:
    """Which server, which release of the data, and how statements are run."""

    engine: str = option(
        "server",
        help="server: our own MariaDB, or the MySQL that HARNESS_MYSQL names; sqlite: not comparable",
        choices=("server", "sqlite"),
    )
    dataset: str = option(
        "released",
        "v02",
        help="released: the tables AgentTuning ran on; v02: AgentBench's later ones, 11 of std mended",
        choices=("released", "v02"),
    )
    identifiers: str = option(
        "escaped",
        "raw",
        help="escaped: upstream's slip, columns with quotes or backslashes bear other names than shown",
        choices=("escaped", "raw"),
    )
    multi_statements: str = option(
        "emulate",
        help="emulate: a batch is undone, as upstream; reject: it is a syntax error; allow: all run",
        choices=("emulate", "reject", "allow"),
    )
    mysql_keywords: bool = option(True, help="on MariaDB, refuse the names that MySQL 8 reserves")
    statement_s: float = option(10.0, help="longest one statement may take, in seconds", ge=0.1, le=3600)


SERVER_FIX = (
    "apt-get install -y --no-install-recommends mariadb-server-core, or name a MySQL in HARNESS_MYSQL"
)


ROOM_FIX = "export TMPDIR=FOLDER that every user can enter and write"


OPEN_FILES = 1024
"""With fewer, the server tells the model of it in place of rows."""


def _named() -> bool:
    """Whether the user has named a server, so that none is started."""
    import os

    from tasks.dbbench.world import ADDRESS

    return bool(os.environ.get(ADDRESS))


def _no_server() -> str | None:
    from tasks.dbbench import server

    return None if _named() else server.missing()


def _no_room() -> str | None:
    from tasks.dbbench import server

    return None if _named() else server.unusable()


class DbBench(BaseTask):
    """Questions and changes to one table."""

    spec = TaskSpec(
        name="dbbench",
        version=3,
        suite="held-in",
        metric="overall",
        headline=Macro("group"),
        splits=("std", "dev"),
        # A reset may wait for another episode that holds the same name.
        limits=Limits(turns=ROUNDS + 1, reset_s=1800.0, step_s=120.0, episode_s=7200.0),
        history="segments-3500",
        expected_turns=3,
        # The stored hash of std/225 is that of a table that was loaded twice.
        ceiling={
            ("paper", "mirror"): 100 * (1 + 1 + 0.99) / 3,
            ("fixed", "mirror"): 100.0,
            ("paper", "fixture"): 100.0,
            ("fixed", "fixture"): 100.0,
        },
        released={"temperature": 0.7},
        paper_n=300,
        shares=("SELECT", "INSERT", "UPDATE", "counting", "comparison", "ranking", "aggregation*", "other"),
    )

    Options = DbBenchOptions

    def needs(self, cfg: TaskConfig) -> Sequence[Need]:
        if cfg.options.engine == "sqlite":
            return (notice(cfg),)
        files = () if _named() else (open_files(OPEN_FILES),)
        server = (Need("mariadbd", _no_server, SERVER_FIX), Need("room for mariadbd", _no_room, ROOM_FIX))
        return (package("asyncmy", extra="db"), *server, *files, notice(cfg))

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        split = cfg.split
        found = rows.read(cfg.data, split, mended=cfg.options.dataset == "v02")
        return [Sample(f"{split}/{index}", row, _labels(row)) for index, row in enumerate(found)]

    def asked(self, sample: Sample) -> str:
        return sample.data["description"]

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        from tasks.dbbench.world import open_world

        return open_world(ctx)

    def oracle(self, ctx: Context, sample: Sample) -> DbOracle:
        return DbOracle(sample, changes=score.group(sample.data["type"][0]) != "SELECT")

    def old_labels(self, sample: str, metrics: Mapping[str, float]) -> Mapping[str, str]:
        del sample
        return {"group": next((name for name in score.GROUPS if name in metrics), "")}

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        return score.aggregate(rows)


def _labels(row: Mapping[str, Any]) -> Mapping[str, str]:
    kind = row["type"][0]
    return {"kind": kind, "group": score.group(kind)}


TASK = DbBench()
