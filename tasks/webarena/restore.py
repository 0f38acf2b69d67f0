"""Restores a site after an attempt that broke off, by whatever way its deployment offers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from harness.errors import EnvironmentFault
from tasks.webarena.config import ArenaConfig

RESET_S = 1500.0
POLL_S = 5.0


@dataclass(frozen=True, slots=True)
class Restorer:
    """Restores sites one by one; each way is tried in the order command, control server, full reset.

    Attributes:
        busy: whether other episodes play on the sites now.
    """

    config: ArenaConfig
    busy: Callable[[], bool]

    async def restore(self, sites: Iterable[str]) -> str:
        """Restore sites, and say what was done.

        Raises:
            EnvironmentFault: a restoration was started and failed.
        """
        told: list[str] = []
        left: list[str] = []
        for site in sites:
            if self.config.reset_cmd:
                await _command(self.config.reset_cmd, site)
                told.append(f"{site} restored by reset_cmd")
            elif address := self.config.control.get(site):
                await _controlled(address)
                told.append(f"{site} restored by its control server")
            else:
                left.append(site)
        if left:
            told.append(await self._all_at_once(", ".join(left)))
        return "; ".join(told)

    async def _all_at_once(self, left: str) -> str:
        if not self.config.full_reset:
            return f"{left} not restored: webarena.toml names no way to"
        if self.busy():
            return f"{left} not restored: the reset server restores all sites, and others are playing on them"
        await _full(self.config.full_reset)
        return "all sites restored by the reset server"


async def _command(line: str, site: str) -> None:
    words = [word.replace("{site}", site) for word in shlex.split(line)]
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=nothing, stdout=nothing, stderr=pipe, start_new_session=True
        )
    except OSError as error:
        raise EnvironmentFault(
            f"reset_cmd {line!r} cannot be started ({error}): see webarena.toml"
        ) from error
    try:
        async with asyncio.timeout(RESET_S):
            _, said = await process.communicate()
    except TimeoutError as error:
        raise EnvironmentFault(f"reset_cmd {line!r} took over {RESET_S:g} s") from error
    finally:
        if process.returncode is None:  # with what it started, which may hold the pipe open
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        end = said.decode("utf-8", "replace")[-500:].strip()
        raise EnvironmentFault(f"reset_cmd {line!r} ended with {process.returncode}: {end}")


async def _controlled(address: str) -> None:
    await _asked("POST", f"{address}/reset", {200, 202, 204})
    await _until(f"{address}/health", "")


async def _full(address: str) -> None:
    await _asked("GET", f"{address}/reset", {200, 418})  # 418: a reset is under way already
    await _until(f"{address}/status", "Ready")


async def _until(url: str, word: str) -> None:
    """Ask until a server is well, and says a word."""
    last = "nothing"
    try:
        async with asyncio.timeout(RESET_S):
            while True:
                status, text = await _fetched("GET", url)
                if status == 200 and word in text:
                    return
                last = f"{status or 'no answer'}: {text[:200]}"
                await asyncio.sleep(POLL_S)
    except TimeoutError as error:
        raise EnvironmentFault(f"{url} was not ready after {RESET_S:g} s; it said {last}") from error


async def _asked(method: str, url: str, wanted: set[int]) -> None:
    status, text = await _fetched(method, url)
    if status not in wanted:
        raise EnvironmentFault(f"{url} answered {status or 'nothing'}: {text[:200]}")


async def _fetched(method: str, url: str) -> tuple[int, str]:
    """Status and text of an answer; 0 and the reason where there is none."""
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
