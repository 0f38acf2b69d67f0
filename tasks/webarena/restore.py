"""Restores a site after an attempt that broke off, by whatever way its deployment offers."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.errors import EnvironmentFault
from tasks.webarena.config import ArenaConfig

RESET_S = 1500.0
POLL_S = 5.0


@dataclass(frozen=True, slots=True)
class Restorer:
    """Restores sites one by one; each way is tried in the order command, control server, full reset."""

    config: ArenaConfig

    async def restore(self, sites: Iterable[str]) -> str:
        """Restore sites, and say what was done.

        Raises:
            EnvironmentFault: a restoration was begun and failed.
        """
        told: list[str] = []
        left = list(sites)
        for site in sites:
            if self.config.reset_cmd:
                await _command(self.config.reset_cmd.replace("{site}", site))
                told.append(f"{site} restored by reset_cmd")
            elif address := self.config.control.get(site):
                await _controlled(address)
                told.append(f"{site} restored by its control server")
            else:
                continue
            left.remove(site)
        if left and self.config.full_reset:
            await _full(self.config.full_reset)
            told.append("all sites restored by the reset server")
        elif left:
            told.append(f"{', '.join(left)} not restored: webarena.toml names no way to")
        return "; ".join(told)


async def _command(line: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *shlex.split(line), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(RESET_S):
            _, said = await process.communicate()
    except BaseException:
        if process.returncode is None:
            process.kill()
        raise
    if process.returncode:
        end = said.decode("utf-8", "replace")[-500:]
        raise EnvironmentFault(f"reset_cmd {line!r} ended with {process.returncode}: {end}")


async def _controlled(address: str) -> None:
    await _asked("POST", f"{address}/reset", {200, 202, 204})
    await _until(f"{address}/health", "")


async def _full(address: str) -> None:
    await _asked("GET", f"{address}/reset", {200, 418})  # 418: a reset is under way already
    await _until(f"{address}/status", "Ready")


async def _until(url: str, word: str) -> None:
    """Ask until a server is well, and says a word."""
    async with asyncio.timeout(RESET_S):
        while True:
            status, text = await _fetched("GET", url)
            if status == 200 and word in text:
                return
            await asyncio.sleep(POLL_S)


async def _asked(method: str, url: str, wanted: set[int]) -> None:
    status, text = await _fetched(method, url)
    if status not in wanted:
        raise EnvironmentFault(f"{url} answered {status}: {text[:200]}")


async def _fetched(method: str, url: str) -> tuple[int, str]:
    import aiohttp

    timeout: Any = aiohttp.ClientTimeout(total=60)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, url) as answer,
        ):
            return answer.status, (await answer.content.read(1 << 16)).decode("utf-8", "replace")
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return 0, repr(error)
