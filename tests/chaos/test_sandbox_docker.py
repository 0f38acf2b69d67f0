"""The OS task on a docker daemon of the test's own: the same verdicts as with bwrap.

Needs dockerd, containerd and runc on PATH (Debian: docker.io); the daemon gets no network and a folder of
its own. Without them, or where the kernel forbids it, the test is skipped with the reason: backend NOT RUN.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from contexts import samples_of, task_context

import tasks.os
from harness.data import cache_folder
from harness.errors import MissingPart
from harness.types import Reply, Sample, Score
from tasks._shared.sandbox.container import Containers
from tasks._shared.sandbox.spec import BoxSpec, SandboxFault
from tasks.os.image import CONTAINER_IMAGE, built_root
from tasks.os.task import TASK

FIXTURE = Path(tasks.os.__file__).parent / "fixture"


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A running dockerd with the OS task's system as an image; yields its address."""
    missing = [name for name in ("dockerd", "docker", "containerd", "runc") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"docker backend NOT RUN: {', '.join(missing)} not on PATH")
    try:
        root = built_root(cache_folder())
    except MissingPart as error:
        pytest.skip(f"docker backend NOT RUN: {error}")
    address = f"unix://{tmp_path}/d.sock"
    monkeypatch.setenv("DOCKER_HOST", address)
    command = ["dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", "-H", address]
    command += ["--data-root", f"{tmp_path}/data", "--exec-root", f"{tmp_path}/exec", "-p", f"{tmp_path}/pid"]
    log = tmp_path / "log"
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            if not answers(process):
                pytest.skip(f"docker backend NOT RUN: {log.read_text()[-500:]}")
            load(root)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def answers(process: subprocess.Popen[bytes]) -> bool:
    for _ in range(120):
        if process.poll() is not None:
            return False
        if subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0:
            return True
        try:
            process.wait(0.5)
        except subprocess.TimeoutExpired:
            continue
    return False


def load(root: Path) -> None:
    packed = ["tar", "-C", str(root), "--numeric-owner", "-c", "."]
    with subprocess.Popen(packed, stdout=subprocess.PIPE) as tar:
        subprocess.run(["docker", "import", "-", CONTAINER_IMAGE], stdin=tar.stdout, check=True)


async def verdicts(data: Path, backend: str, wanted: Callable[[Sample], bool]) -> dict[str, float]:
    ctx = task_context(TASK, data, sandbox=backend)
    slots = asyncio.Semaphore(4)

    async def play(sample: Sample) -> tuple[str, float]:
        async with slots:
            episode = await world.episode(sample, {}, 7)
            oracle = TASK.oracle(ctx, sample)
            observation = await episode.reset()
            while not observation.done:
                observation = await episode.step(Reply(await oracle.reply(observation)))
            score = await episode.score()
            await episode.close()
            assert isinstance(score, Score)
            return sample.id, score.value

    async with TASK.world(ctx) as world:
        return dict(await asyncio.gather(*map(play, filter(wanted, samples_of(TASK, ctx, "std")))))


@pytest.mark.full
async def test_the_fixture_is_solved_and_nothing_stays(daemon: str) -> None:
    values = await verdicts(FIXTURE, "docker", lambda _: True)
    assert len(values) == 8 and set(values.values()) == {1.0}
    listed = subprocess.run(["docker", "ps", "-aq"], capture_output=True, check=True, env=os.environ)  # noqa: ASYNC221
    assert listed.stdout == b""


async def test_docker_takes_the_arguments_of_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client reads every argument before it looks for the daemon, of which there is none here."""
    if shutil.which("docker") is None:
        pytest.skip("docker backend NOT RUN: docker not on PATH")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    docker = Containers("docker")
    with pytest.raises(SandboxFault, match="--ulimit"):
        await docker.call("run", "--ulimit", "unheard=1:1", "image")
    with pytest.raises(SandboxFault, match=r"(?i)connect.*nowhere/docker\.sock"):
        await docker.create(BoxSpec("image", "box"))


HOST_MEMORY = {f"7/2023-06-07-00-13-14/{index}" for index in (6, 18)}
"""Their gold has the host's memory in use, which a container sees move."""


@pytest.mark.full
@pytest.mark.timeout(1800)
async def test_the_verdicts_are_those_of_bwrap(daemon: str, mirror: Path) -> None:
    def steady(sample: Sample) -> bool:
        return sample.id not in HOST_MEMORY

    docker = await verdicts(mirror / "os", "docker", steady)
    bwrap = await verdicts(mirror / "os", "bwrap", steady)
    assert len(docker) == 142
    assert docker == bwrap
