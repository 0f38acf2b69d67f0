"""Opens a sandbox backend, and makes one system for each episode."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import seeds
from harness.data import cache_folder
from harness.episode import BaseWorld, Episode
from harness.errors import MissingPart
from harness.types import Capacity, Chat, Sample
from tasks._shared.sandbox import Caps, Sandbox, open_sandbox
from tasks._shared.sandbox.spec import MARKER, Programs
from tasks.os import image
from tasks.os.episode import OsEpisode
from tasks.os.options import OsSettings
from tasks.os.prompts import OsPrompts

if TYPE_CHECKING:
    from tasks.os.options import OsOptions

MEMORY_MB, PIDS, DISK_MB = 512, 256, 256


class OsWorld(BaseWorld):
    """Holds the sandbox backend that all episodes run in."""

    def __init__(self, sandbox: Sandbox, prompt: OsPrompts, settings: OsSettings) -> None:
        self.capacity = Capacity(memory_mb=96, cpu=0.2)
        self.fingerprint: Mapping[str, str] = {
            "sandbox": f"{sandbox.backend.name} {sandbox.backend.version}",
            "system": _identity(sandbox.image),
        }
        self._sandbox = sandbox
        self._prompt = prompt
        self._settings = settings

    async def episode(self, sample: Sample, chats: Mapping[str, Chat], seed: int) -> Episode:
        """One problem in a system of its own, which `reset` makes."""
        del chats
        hostname = f"{seeds.derive(seed, 'hostname') & 0xFFFF_FFFF_FFFF:012x}"
        settings = self._settings
        caps = Caps(memory_mb=MEMORY_MB, pids=PIDS, cpus=settings.cpus, disk_mb=DISK_MB)

        async def make() -> Any:
            return await self._sandbox.create(hostname=hostname, cwd=settings.cwd, caps=caps)

        return OsEpisode(sample.data["problem"], make, self._prompt, settings, seed)


def _identity(found: Any) -> str:
    return (found / MARKER).read_text().strip() if isinstance(found, Path) else str(found)


def images() -> dict[str, Path | Programs | str | Exception]:
    """The task's system under each backend, or why there is none."""
    try:
        root: Path | Exception = image.built_root(cache_folder())
    except MissingPart as error:
        root = error
    return {"docker": image.CONTAINER_IMAGE, "podman": image.CONTAINER_IMAGE, "bwrap": root}


@asynccontextmanager
async def open_world(prompt: OsPrompts, options: OsOptions, truncate: int | None) -> AsyncIterator[OsWorld]:
    """Find a sandbox with the task's system, then play in it; closes it at the end."""
    settings = OsSettings(
        cwd=options.cwd,
        style=options.observation_style,
        merge_stderr=options.merge_check_stderr,
        corrected_gold=options.corrected_gold,
        command_s=options.command_s,
        cpus=options.cpus,
        truncate=truncate,
    )
    async with open_sandbox(images(), options.sandbox) as sandbox:
        yield OsWorld(sandbox, prompt, settings)
