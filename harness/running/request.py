"""What the user asked `harness run` to do: what is played, with which models, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.catalog.models import Entry
from harness.models import own
from harness.models.api import Reasoning
from harness.models.own import Given
from harness.running.results import Decoding
from harness.running.samples import Limit
from harness.running.sampling import Sampling
from harness.types import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is played.

    Attributes:
        suites: names of suites.
        tasks: names of tasks; beside suites they choose among the suites' tasks.
        split: None takes each task's own default.
        limit: how many samples of each task, and which; None takes all.
        samples: only these ids; None takes all.
        repeats: episodes per sample.
        shard: (i, n) plays the i-th of n parts, counted from 1.
        settings: `TASK.KEY=VALUE` strings.
        profile: whose values the other options have.
        seed: of the run; every episode and every call derives its own.
        mirror: where the data is (see `harness.data.resolve`).
    """

    suites: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    split: str | None = None
    limit: Limit | None = None
    samples: tuple[str, ...] | None = None
    repeats: int = 1
    shard: tuple[int, int] | None = None
    settings: tuple[str, ...] = ()
    profile: Profile = "paper"
    seed: int = 0
    mirror: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """With which models it is played.

    Attributes:
        model: the model under test, as after `--model`.
        endpoints: base URLs of its replicas; none takes those of models.toml.
        given: what else the command says of the model under test.
        sampling: settings that replace those of the tasks.
        roles: `ROLE=NAME@URL` strings of the auxiliary models.
        judge: judges at the end of the run, as after `--judge`; None leaves judged episodes waiting.
        decoding: `protocol` as the benchmark says, `greedy`, or `released` as the released code does.
        choices: how choices are ranked, a method of docs/protocols.md; None takes the best there is.
        reasoning: `strip` takes thoughts out of replies before anything reads them, `keep` leaves them in.
        concurrency: most requests in flight; None goes by the endpoints.
        deadline_s: how long one request may be retried.
    """

    model: str
    endpoints: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    judge: str | None = None
    decoding: Decoding = "protocol"
    choices: str | None = None
    reasoning: Reasoning = "strip"
    concurrency: int | None = None
    deadline_s: float = 900.0
    given: Given = field(default_factory=Given)
    sampling: Sampling = field(default_factory=Sampling)

    def entry(self) -> Entry:
        """The model under test, resolved.

        Raises:
            UsageError: there is no such model, or the command contradicts its entry.
        """
        return own.find(self.model, self.given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """How it is carried out and where it is stored; nothing here moves a number.

    Attributes:
        out: the run directory; None names one by the run's configuration, under `results`.
        name: keeps this run apart from others of the same configuration.
        new: start another run of the same configuration.
        ready_only: run the tasks that are ready and leave the others out.
        retry: `infra` plays only what failed for infrastructure.
        time_limit_s: start no episode later than this after the run began.
        trace_private: store the texts of private tasks as well.
        executor: `local` plays in this process, `ray` on the nodes of a Ray cluster.
        ray_address: HOST:PORT of the cluster; None starts one on this machine.
        workers: processes on each of its nodes.
    """

    out: Path | None = None
    name: str | None = None
    new: bool = False
    results: Path = Path("results/runs")
    ready_only: bool = False
    retry: Literal["infra"] | None = None
    time_limit_s: float | None = None
    trace_private: bool = False
    executor: Literal["local", "ray"] = "local"
    ray_address: str | None = None
    workers: int = 1


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One run, as the user asked for it."""

    workload: Workload
    models: ModelChoice
    execution: Execution = field(default_factory=Execution)
