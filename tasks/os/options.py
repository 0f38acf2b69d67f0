"""What a user may set for OS, and what a run makes of it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.types import option


@dataclass(frozen=True, slots=True)
class OsOptions:
    """What the systems are like, and how answers are checked."""

    cwd: str = option("/", help="working directory; the later AgentBench uses /root")
    observation_style: str = option(
        "prompt",
        help="show the shell's prompt behind each output, as in the training data, or not",
        choices=("prompt", "clean"),
    )
    merge_check_stderr: bool = option(True, False, help="errors of a reference solution are output")
    corrected_gold: bool = option(False, True, help="repair nine wrong reference solutions")
    command_s: float = option(30.0, help="seconds a command may take", ge=0.1, le=3600)
    cpus: float = option(1.0, help="CPU time per second of one system", ge=0.05, le=64)
    sandbox: str = option(
        "auto", help="where the systems live", choices=("auto", "docker", "podman", "bwrap")
    )


@dataclass(frozen=True, slots=True)
class OsSettings:
    """The options of a run, typed."""

    cwd: str
    style: str
    merge_stderr: bool
    corrected_gold: bool
    command_s: float
    cpus: float
    truncate: int | None
