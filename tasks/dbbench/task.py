"""Database's task: its options, its samples and how their parts are joined."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from harness.episode import BaseTask, World
from harness.errors import DataError
from harness.needs import Need, package
from harness.types import Context, Limits, Option, Row, Sample, TaskSpec
from tasks.dbbench import score
from tasks.dbbench.episode import ROUNDS
from tasks.dbbench.oracle import DbOracle

OLD = Path("AgentTuning/AgentBench.old/data/dbbench")
NEW = Path("AgentBench/data/dbbench")
FILES = {"std": "standard.jsonl", "dev": "dev.jsonl"}

OPTIONS = (
    Option(
        "engine",
        str,
        "server",
        "server",
        "server: MariaDB of our own, or the MySQL that HARNESS_MYSQL names; sqlite: degraded, not comparable",
        choices=("server", "sqlite"),
    ),
    Option(
        "dataset",
        str,
        "released",
        "v02",
        "released: the tables AgentTuning ran on; v02: AgentBench's later release, 11 tables of std mended",
        choices=("released", "v02"),
    ),
    Option(
        "identifiers",
        str,
        "escaped",
        "raw",
        "escaped: upstream's slip, columns with quotes or backslashes bear other names than the prompt says",
        choices=("escaped", "raw"),
    ),
    Option(
        "multi_statements",
        str,
        "emulate",
        "emulate",
        "emulate: a batch is out of sync and undone, as upstream; reject: a syntax error; allow: all run",
        choices=("emulate", "reject", "allow"),
    ),
    Option("mysql_keywords", bool, True, True, "on MariaDB, refuse the names that MySQL 8 reserves"),
    Option("statement_s", float, 10.0, 10.0, "longest one statement may take, in seconds"),
)


def _no_server() -> str | None:
    import os

    from tasks.dbbench import server
    from tasks.dbbench.world import ADDRESS

    return None if os.environ.get(ADDRESS) else server.missing()


class DbBench(BaseTask):
    """Questions and changes to one table."""

    spec = TaskSpec(
        name="dbbench",
        version=1,
        suite="held-in",
        metric="overall",
        splits=("std", "dev"),
        # A reset may wait for another episode that holds the same name.
        limits=Limits(turns=ROUNDS + 1, reset_s=1800.0, step_s=120.0, episode_s=7200.0),
        needs=(
            package("asyncmy", extra="db"),
            Need(
                "mariadbd",
                _no_server,
                "apt-get install -y --no-install-recommends mariadb-server-core, or name a MySQL in "
                "HARNESS_MYSQL",
            ),
        ),
        options=OPTIONS,
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
    )

    def samples(self, ctx: Context, split: str) -> Sequence[Sample]:
        mended = ctx.options["dataset"] == "v02" and split == "std"
        path = ctx.data / (NEW if mended else OLD) / FILES[split]
        try:
            text = path.read_text(encoding="utf-8")
            rows = [json.loads(line) for line in text.split("\n") if line]
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read: {error}; `harness doctor` says how to get it") from error
        return [Sample(f"{split}/{index}", row, _labels(row)) for index, row in enumerate(rows)]

    def world(self, ctx: Context) -> AbstractAsyncContextManager[World]:
        from tasks.dbbench.world import open_world

        return open_world(ctx)

    def oracle(self, ctx: Context, sample: Sample) -> DbOracle:
        return DbOracle(sample, changes=score.group(sample.data["type"][0]) != "SELECT")

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        return score.aggregate(rows)


def _labels(row: Mapping[str, Any]) -> Mapping[str, str]:
    kind = row["type"][0]
    return {"kind": kind, "group": score.group(kind)}


TASK = DbBench()
