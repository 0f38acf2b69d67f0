"""What all episodes of one task share while its world is open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.episode import Oracle, World
from harness.models.api import LiveEpisodes, Model
from harness.running.results import Decoding
from harness.running.sampling import Sampling
from harness.types import Notice, Profile, Sample, TaskSpec


@dataclass(frozen=True, slots=True)
class TaskRun:
    """One task in one run: its open world, the models, and how prompts are made and sent.

    Attributes:
        live: where the oracles of live episodes are left for the server that answers in their place.
        oracle: makes a sample's oracle; None unless the oracle is the model under test.
        roles: the bound auxiliary models.
        history: name of the history policy.
        notice: what the policy says of the messages it leaves out.
        vocabulary: of the policy's token counter; None where it counts without one.
        sampling: settings that replace those of the task.
        seed: of the run; every episode and every call derives its own.
        deadline_s: how long one request may be retried.
    """

    spec: TaskSpec
    world: World
    model: Model
    live: LiveEpisodes
    oracle: Callable[[Sample], Oracle] | None = None
    roles: Mapping[str, Model] = field(default_factory=dict[str, Model])
    history: str = "none"
    notice: Notice | None = None
    vocabulary: Path | None = None
    profile: Profile = "paper"
    decoding: Decoding = "protocol"
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    deadline_s: float = 900.0
