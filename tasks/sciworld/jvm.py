"""One Java process that holds several simulators, each in a class loader of its own.

ScienceWorld keeps static state (identifiers, random numbers, simplifications), so two simulators in one class
loader disturb each other. A loader and a gateway per simulator isolate them for a third of the memory that a
JVM each would take.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from harness.errors import EnvironmentFault
from tasks.sciworld.gateway import ENTRY, Gateway, JavaError, Ref, Static
from tasks.sciworld.launch import command, jars

T = TypeVar("T")

SIMULATOR = "scienceworld.runtime.pythonapi.PythonInterface"
START_S = 120.0


@dataclass(frozen=True, slots=True)
class State:
    """What the simulator says after an action; `score` is 0 to 100, or negative for a lost episode."""

    observation: str
    score: int
    completed: bool
    moves: int


class Jvm:
    """A running Java process; `open_slot` adds a simulator to it."""

    def __init__(self, process: asyncio.subprocess.Process, main: Gateway, token: str) -> None:
        self._process, self._main, self._token = process, main, token
        self.slots: list[Simulator] = []
        self.episodes = 0
        self.retired = False

    @classmethod
    async def launch(cls, heap_mb: int, folder: str) -> Jvm:
        """Start a process in a folder and silence the simulator's standard output.

        Raises:
            EnvironmentFault: it did not come up.
        """
        process = await asyncio.create_subprocess_exec(
            *command(heap_mb),
            cwd=folder,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us; episodes that are alive play on
        )
        try:
            async with asyncio.timeout(START_S):
                return await cls._connected(process)
        except (OSError, ValueError, TimeoutError, JavaError) as error:
            await _kill(process)
            raise EnvironmentFault(f"the JVM did not come up: {error!r}") from error
        except BaseException:
            await _kill(process)
            raise

    @classmethod
    async def _connected(cls, process: asyncio.subprocess.Process) -> Jvm:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        token = (await process.stdout.readline()).decode("ascii").strip()
        main = await Gateway.connect(port, token)
        nowhere = await main.ref(Static("java.io.OutputStream"), "nullOutputStream")
        await main.call(Static("java.lang.System"), "setOut", await main.new("java.io.PrintStream", nowhere))
        return cls(process, main, token)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def resident_mb(self) -> float:
        """Resident memory of the process, 0 when it is gone."""
        try:
            status = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii")
        except OSError:
            return 0.0
        return int(status.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    async def java(self) -> str:
        """Version of the Java runtime."""
        return await self._main.text(Static("java.lang.System"), "getProperty", "java.vm.version")

    async def open_slot(self, call_s: float) -> Simulator:
        """Add a simulator in a class loader of its own, and warm it up.

        Raises:
            EnvironmentFault: the process failed.
        """
        try:
            async with asyncio.timeout(START_S):
                gateway = await Gateway.connect(await self._serve_simulator(), self._token)
        except (OSError, TimeoutError, JavaError) as error:
            await self.kill()
            raise EnvironmentFault(f"the JVM could not add a simulator: {error!r}") from error
        slot = Simulator(self, gateway, call_s)
        self.slots.append(slot)
        return slot

    async def _serve_simulator(self) -> int:
        """Load the jars once more and serve their own gateway; returns its port."""
        main = self._main
        urls = [
            await main.ref(await main.ref(await main.new("java.io.File", str(jar)), "toURI"), "toURL")
            for jar in jars()
        ]
        above = await main.ref(Static("java.lang.ClassLoader"), "getPlatformClassLoader")
        loader = await main.new("java.net.URLClassLoader", await main.array("java.net.URL", *urls), above)
        simulator = await main.ref(await main.ref(loader, "loadClass", SIMULATOR), "newInstance")
        kind = await main.ref(loader, "loadClass", "py4j.GatewayServer$GatewayServerBuilder")
        builder = await main.ref(kind, "newInstance")
        await self._invoke(kind, builder, "entryPoint", "java.lang.Object", simulator)
        await self._invoke(kind, builder, "authToken", "java.lang.String", self._token)
        await self._invoke(kind, builder, "javaPort", "int", 0)
        server = await self._invoke(kind, builder, "build")
        kind = await main.ref(loader, "loadClass", "py4j.GatewayServer")
        await self._invoke(kind, server, "start")
        port = await self._invoke(kind, server, "getListeningPort")
        assert isinstance(port, int)
        return port

    async def _invoke(self, kind: Ref, target: Any, method: str, of: str = "", value: Any = None) -> Any:
        """Call by reflection: py4j's own look-up confuses classes of one name from two loaders."""
        main = self._main
        types, values = [], []
        if of == "int":
            boxed = await main.ref(Static("java.lang.Class"), "forName", "java.lang.Integer")
            types.append(await main.ref(await main.ref(boxed, "getField", "TYPE"), "get", None))
            values.append(value)
        elif of:
            types.append(await main.ref(Static("java.lang.Class"), "forName", of))
            values.append(value)
        found = await main.ref(kind, "getMethod", method, await main.array("java.lang.Class", *types))
        return await main.call(found, "invoke", target, await main.array("java.lang.Object", *values))

    async def kill(self) -> None:
        """End the process at once; every call in flight fails."""
        self.retired = True
        self._main.close()
        for slot in self.slots:
            slot.gateway.close()
        await _kill(self._process)


async def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


class Simulator:
    """One simulator; serves one episode at a time.

    Attributes:
        agent: the simulator's own object that plays the loaded task; None before the first task.
    """

    def __init__(self, jvm: Jvm, gateway: Gateway, call_s: float) -> None:
        self.jvm, self.gateway = jvm, gateway
        self._call_s = call_s
        self.agent: Ref | None = None
        self._running: asyncio.Task[Any] | None = None

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry out calls under the watchdog, which kills the JVM.

        A caller that is cancelled leaves the calls running; `idle` waits for them.

        Raises:
            EnvironmentFault: the JVM ended, hung or raised an exception.
        """
        self._running = asyncio.create_task(self._watched(work))
        return await asyncio.shield(self._running)

    async def _watched(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout(self._call_s):
                return await work
        except TimeoutError as error:
            await self.jvm.kill()
            raise EnvironmentFault(f"the simulator did not answer in {self._call_s:g} s") from error
        except OSError as error:
            await self.jvm.kill()
            raise EnvironmentFault(f"the JVM is gone: {error}") from error
        except JavaError as error:
            raise EnvironmentFault(f"the simulator threw: {error}") from error

    async def idle(self) -> None:
        """Wait for calls whose caller was cancelled; never raises for what they meet."""
        if self._running is not None:
            await asyncio.wait([self._running])
            if not self._running.cancelled():
                self._running.exception()

    # -- the simulator's methods; each a coroutine for `run`

    async def load(self, task: str, variation: int, simplification: str) -> None:
        """Set up a task."""
        call = self.gateway.call
        if self.agent is not None:
            await self.gateway.release(self.agent)
            self.agent = None
        solve = False  # the simulator would solve again at every later load
        failure = await self.gateway.text(ENTRY, "load", task, variation, simplification, solve)
        if failure:
            raise EnvironmentFault(failure)
        found = await self.gateway.ref(ENTRY, "agentInterface")
        self.agent = await self.gateway.ref(found, "get")
        await self.gateway.release(found)
        if await call(self.agent, "isInErrorState"):
            raise EnvironmentFault(await self.gateway.text(self.agent, "getErrorStateMessage"))

    async def act(self, action: str) -> State:
        """Carry out an action.

        Raises:
            EnvironmentFault: the simulator failed inside; all its further answers would be this failure.
        """
        gateway = self.gateway
        observation = await gateway.text(ENTRY, "step", action)
        if self.agent is None or await gateway.call(self.agent, "isInErrorState"):
            why = await gateway.text(self.agent, "getErrorStateMessage") if self.agent else "nothing loaded"
            raise EnvironmentFault(f"the simulator failed on {action[:200]!r}: {why}")
        score = await gateway.call(ENTRY, "getScore")
        completed = await gateway.call(ENTRY, "getCompleted")
        moves = await gateway.call(ENTRY, "getNumMoves")
        return State(observation, round(100 * float(str(score))), completed is True, int(str(moves)))

    async def look(self) -> str:
        """What the agent sees; costs no time."""
        return await self.gateway.text(ENTRY, "freeActionLook")

    async def inventory(self) -> str:
        """What the agent carries; costs no time."""
        return await self.gateway.text(ENTRY, "freeActionInventory")

    async def task_description(self) -> str:
        """The task in words."""
        return await self.gateway.text(ENTRY, "freeActionTaskDesc")

    async def valid_actions(self) -> list[str]:
        """Every action the simulator lists as valid now, one referent per object."""
        return await self.gateway.lines(ENTRY, "getValidActionObjectCombinations")

    async def task_names(self) -> list[str]:
        """Every task in the simulator's own, alphabetical order."""
        return await self.gateway.lines(ENTRY, "getTaskNames")

    async def most_variations(self, task: str) -> int:
        """How many variations a task has."""
        return int(str(await self.gateway.call(ENTRY, "getTaskMaxVariations", task)))

    async def variations(self, split: Literal["Train", "Dev", "Test"]) -> list[int]:
        """The loaded task's variations in one of the simulator's splits."""
        listed = await self.gateway.ref(ENTRY, f"getVariations{split}")
        shown = await self.gateway.text(listed, "toString")
        await self.gateway.release(listed)
        return json.loads(shown)
