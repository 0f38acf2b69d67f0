"""Joins a Ray cluster, or starts one on this machine, and runs workers on its nodes."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
import os
import re
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from harness.catalog import models
from harness.errors import MissingPart, UsageError
from harness.models import outside
from harness.models.api import Model
from harness.running.plan import Plan
from harness.running.queue import PlannedEpisode
from harness.running.ray_executor import player, settings
from harness.running.ray_executor.actor import Actor
from harness.running.ray_executor.dispatch import Dispatcher
from harness.running.ray_executor.messages import TIMES_UP_S, Handed, Opened, Opening, Report
from harness.running.ray_executor.places import Worker, WorkerLost, places
from harness.storage.scratch import scratch
from harness.storage.store import Attempt, Store

log = logging.getLogger("harness.run")
T = TypeVar("T")

REACH_S = 10.0
"""Longest wait for the answer of a cluster's address."""
START_S = 120.0
"""Longest wait for the process of a worker."""
STORE_BYTES = 100 << 20
"""Shared memory of a cluster that is started here; little passes through it."""

_TOKEN = re.compile("AuthToken|AuthenticationError")
"""What Ray's errors name where a cluster's token is missing or another one."""

_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_SETTINGS = 4
"""Type of the frame with which every gRPC server, Ray's as well, answers a client's first bytes."""


def _ray(module: str = "ray") -> Any:
    """Ray, which is imported only where it is used, and has types of its own making."""
    return importlib.import_module(module)


def check(address: str | None, model: str) -> None:
    """Refuse where Ray is not installed, nothing answers at its address, or nodes cannot ask the model.

    Args:
        address: of a cluster; None for this machine alone.
        model: what stands after `--model`.

    Raises:
        MissingPart: with what to do about it; nothing was sent to any model.
        UsageError: the same.
    """
    entry = models.known(model)[0]
    if entry is not None and entry.kind == "hf":
        told = outside.line(model)
        raise UsageError(
            f"{told} runs within one process, which other nodes cannot ask; nothing was sent: "
            f"start `harness serve {told}` and name its address by --endpoint, or leave out --executor ray"
        )
    if importlib.util.find_spec("ray") is None:
        raise MissingPart(
            "--executor ray needs the package ray, which is not installed: "
            "pip install 'agenttuning-harness[dist]' (in a checkout: make dist)"
        )
    if address is None:
        return
    found = re.fullmatch(r"(?P<host>[^\s/:]+|\[[0-9a-fA-F:]+\]):(?P<port>[0-9]{1,5})", address)
    if found is None:
        raise UsageError(
            f"--ray-address {outside.line(address)}: write HOST:PORT, as `ray start --head` tells it"
        )
    if not _answers(found["host"].strip("[]"), int(found["port"])):
        raise MissingPart(
            f"no Ray cluster answers at {address}, nothing was sent: start one there (ray start --head), "
            "correct --ray-address (RAY_ADDRESS), or leave it out to use this machine alone"
        )


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=REACH_S) as connection:
            connection.settimeout(REACH_S)
            connection.sendall(_HELLO)
            head = b""
            while len(head) < 4 and (more := connection.recv(4 - len(head))):
                head += more
            return len(head) == 4 and head[3] == _SETTINGS
    except (OSError, OverflowError):
        return False


@contextmanager
def joined(address: str | None, workers: int) -> Generator[Cluster]:
    """Use a cluster, or one on this machine alone, until the end of the block.

    Args:
        address: of the cluster, which this machine has to belong to; None starts one that listens on
            loopback alone and ends with the block.
        workers: processes on each node.

    Raises:
        MissingPart: there is no cluster, or it has another version of Ray or Python.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")  # tries to reach the cluster, half a minute each
    if address is None:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray's name for: listen on loopback alone
    # Ray prints there what it notices of dead workers, and the command its report.
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nothing,
        redirect_stdout(nothing),
        scratch("harness-ray-") as folder,
    ):
        own: dict[str, Any] = {
            "address": "local",
            "num_cpus": workers,
            "object_store_memory": STORE_BYTES,
            "include_dashboard": False,
            "_temp_dir": str(folder),
        }
        ray = _ray()
        logging.getLogger("ray").setLevel(logging.ERROR)  # Ray's import sets another
        try:
            _begin(ray, {"address": address} if address else own)
            yield Cluster(workers, None if address else "this machine")
        finally:
            ray.shutdown()


def _begin(ray: Any, options: dict[str, Any]) -> None:
    quiet = {"log_to_driver": False, "configure_logging": False, "logging_level": logging.ERROR}
    try:
        with settings.without_secrets():
            ray.init(**options, **quiet)
    except Exception as error:  # Ray raises whatever it likes
        why = outside.line(str(error))
        if _TOKEN.search(f"{error} {error.__cause__}"):
            raise MissingPart(
                f"the Ray cluster asks for its token (ray start --head turns that on): {why}; here and on "
                "every node set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to a copy of the head's "
                "~/.ray/auth_token"
            ) from error
        raise MissingPart(f"Ray cannot be used, on a busy machine repeat the command: {why}") from error


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that this process has joined.

    Attributes:
        workers: processes on each node.
        alone: the name of its only node; None where nodes have addresses.
    """

    workers: int
    alone: str | None = None

    def dispatcher(
        self,
        plan: Plan,
        tested: Model,
        store: Store,
        finished: Callable[[Attempt, PlannedEpisode], bool],
        end: Callable[[str], None],
    ) -> Dispatcher:
        """What plays a plan on this cluster, as `Dispatcher`."""
        starts: dict[str, Callable[[], Worker]] = {}
        nodes = self._nodes()
        for number in range(1, self.workers + 1):
            for node, name in nodes:
                starts[f"{name}/{number}" if self.workers > 1 else name] = partial(RayWorker, node)
        found = places(plan, tested, starts, self.workers)
        requests = sum(place.requests for place in found)
        told = f"nodes {len(nodes)}, workers {len(found)}, requests in flight over all {requests}"
        log.info("ray: %s", told)
        return Dispatcher(found, store, finished, end)

    def _nodes(self) -> list[tuple[str, str]]:
        """Id and name of each node that has a core to give."""
        usable = [node for node in _ray().nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
        if not usable:
            raise MissingPart("no node of the Ray cluster has a core to give (ray status shows them)")
        addresses = Counter(node["NodeManagerAddress"] for node in usable)
        return sorted((node["NodeID"], self.alone or _node_name(node, addresses)) for node in usable)


def _node_name(node: dict[str, Any], addresses: Counter[str]) -> str:
    address = node["NodeManagerAddress"]
    return address if addresses[address] == 1 else f"{address}-{node['NodeID'][:6]}"


class RayWorker:
    """One worker's process on a node, as `dispatch.Worker`."""

    def __init__(self, node: str) -> None:
        ray, scheduling = _ray(), _ray("ray.util.scheduling_strategies")

        if not any(one["NodeID"] == node and one["Alive"] for one in ray.nodes()):
            raise WorkerLost("its node is gone", forever=True)
        where = scheduling.NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        options = {"num_cpus": 1, "max_restarts": 0, "max_task_retries": 0, "scheduling_strategy": where}
        self._actor: Any = ray.remote(Actor).options(**options).remote()

    async def open(self, opening: Opening) -> Opened:
        """As `WorkerPlayer.open`."""
        return await self._answer(self._actor.open.remote(opening), START_S + player.OPEN_S)

    async def exchange(
        self, handed: Sequence[Handed], over: Sequence[str], *, stop: bool, requests: int
    ) -> Report:
        """As `WorkerPlayer.exchange`."""
        asked = self._actor.exchange.remote(handed, over, stop, requests)
        return await self._answer(asked, TIMES_UP_S + player.ANSWER_S)

    async def close(self) -> None:
        """Close it within `CLOSE_S`, and end its process."""
        with suppress(WorkerLost):
            await self._answer(self._actor.close.remote(), player.CLOSE_S)
        _ray().kill(self._actor)

    @staticmethod
    async def _answer(asked: Awaitable[T], limit_s: float) -> T:
        try:
            async with asyncio.timeout(limit_s):
                return await asked
        except TimeoutError:
            raise WorkerLost(f"it did not answer within {limit_s:.0f} s") from None
        except _ray("ray.exceptions").RayError as error:
            raise lost(cast(Exception, error)) from error


def lost(error: Exception) -> WorkerLost:
    """What one of Ray's errors says of a worker; a node without the harness is not tried again."""
    if missing := re.search(r"ModuleNotFoundError: (No module named .*)", str(error)):
        told = f"{missing[1]}: install the same harness on all nodes, for the Python that runs Ray there"
        return WorkerLost(told, forever=True)
    return WorkerLost(_reason(error))


def _reason(error: Exception) -> str:
    """The line of one of Ray's errors that says most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if "Traceback" in str(error) else " ".join(lines[:1]) if lines else repr(error)
