"""Builds the system the OS task plays in: a root file system with debootstrap, or a container image."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.errors import HarnessError, MissingPart
from tasks._shared.sandbox.spec import MARKER
from tasks.os import image

Log = Callable[[str], None]

# Runs in a mount namespace of its own, so that an interrupted build leaves nothing mounted.
_ALONE = ("unshare", "--mount", "--propagation", "private", "--kill-child", "--fork", "--pid", "--mount-proc")


class BuildFailed(HarnessError):
    """A step of the build failed; the message has its last words."""


def setup(target: Path, log: Log) -> None:
    """Build what is missing under the cache folder `target`; a second call finds it done.

    As root with debootstrap: a root file system for the `bwrap` sandbox. Else, where a docker or podman
    answers: a container image.

    Raises:
        MissingPart: neither can be built here.
        BuildFailed: a step failed; what was made so far is thrown away by the next call.
    """
    folder = image.root_folder(target)
    if (folder / MARKER).is_file():
        log(f"os: the root file system is there: {folder}")
        return
    if os.geteuid() == 0 and shutil.which("debootstrap"):
        _build_root(folder, log)
        return
    for client in ("docker", "podman"):
        if shutil.which(client) and _answers(client):
            _build_image(client, log)
            return
    raise MissingPart(
        "os: needs root and debootstrap (apt-get install -y --no-install-recommends debootstrap bubblewrap), "
        "or a docker or podman that answers"
    )


def _build_root(folder: Path, log: Log) -> None:
    log("os: building a root file system: 500 MB of disk, one to three minutes, packages from the net")
    partial = folder.with_name(f"{folder.name}.partial")
    if partial.exists():
        _remove(partial)
    partial.parent.mkdir(parents=True, exist_ok=True)
    mirror = os.environ.get("HARNESS_DEBIAN_MIRROR")
    packages = ",".join(image.PACKAGES)
    bootstrap = ["debootstrap", "--variant=minbase", f"--include={packages}", image.SUITE, str(partial)]
    _run([*_ALONE, *bootstrap, *([mirror] if mirror else [])], log, "installing Debian")
    log(f"os: fetching what is to be installable offline: {', '.join(image.OFFLINE)}")
    script = "cd /tmp && apt-get update -qq && apt-get download -qq " + " ".join(image.OFFLINE)
    _run([*_ALONE, "chroot", str(partial), "/bin/sh", "-c", script], log, "downloading packages")
    _lay_repository(partial)
    _tidy(partial)
    _prove_solvable(partial)
    (partial / MARKER).write_text(f"{image.tree_hash(partial)}\n")
    partial.chmod(0o755)
    partial.rename(folder)
    log(f"os: built {folder}")


def _run(argv: Sequence[str], log: Log, what: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
    ) as process:
        assert process.stdout is not None
        last: list[str] = []
        for number, line in enumerate(process.stdout):
            last = [*last[-9:], line.rstrip()]
            if number % 100 == 0:
                log(f"os: {what}: {line.strip()[:100]}")
    if process.returncode:
        raise BuildFailed(f"os: {what} failed:\n" + "\n".join(last))


def _remove(folder: Path) -> None:
    """Remove a build that was interrupted; it has no mounts, and a mounted one is refused."""
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    if any(point.startswith(f"{folder.resolve()}/") for point in mounted):
        raise BuildFailed(f"os: something is mounted below {folder}: unmount it, then run {image.FIX} again")
    shutil.rmtree(folder)


def _lay_repository(root: Path) -> None:
    """Make the downloaded packages a repository inside, the only one the system knows."""
    repository = root / image.REPOSITORY
    repository.mkdir(parents=True)
    stanzas: list[str] = []
    for package in sorted((root / "tmp").glob("*.deb")):
        place = repository / package.name
        shutil.move(package, place)
        place.chmod(0o644)
        control = subprocess.run(
            ["chroot", str(root), "dpkg-deb", "-f", f"/{image.REPOSITORY}/{package.name}"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        digest = hashlib.sha256(place.read_bytes()).hexdigest()
        size = place.stat().st_size
        stanzas.append(f"{control}\nFilename: ./{package.name}\nSize: {size}\nSHA256: {digest}\n")
    with gzip.GzipFile(repository / "Packages.gz", "wb", mtime=0) as file:
        file.write("\n".join(stanzas).encode())
    (root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:/{image.REPOSITORY} ./\n")


def _tidy(root: Path) -> None:
    for pattern in (
        "var/cache/apt/archives/*.deb",
        "var/cache/apt/*.bin",
        "var/lib/apt/lists/*",
        "var/log/*.log",
    ):
        for path in root.glob(pattern):
            if path.is_file():
                path.unlink()
    for name in ("etc/resolv.conf", "etc/hostname", "etc/hosts", "etc/machine-id"):
        (root / name).write_text("")
    (root / "root/.bash_history").unlink(missing_ok=True)


def _prove_solvable(root: Path) -> None:
    """One sample asks for the size of /usr and its grader takes whole numbers only, such as 350M."""
    used = subprocess.run(["du", "-sh", str(root / "usr")], check=True, capture_output=True, text=True).stdout
    if "." in used.split()[0]:
        raise BuildFailed(f"os: /usr takes {used.split()[0]}, which no answer can match: change the packages")


def _answers(client: str) -> bool:
    done = subprocess.run([client, "info"], capture_output=True, check=False, timeout=60)
    return done.returncode == 0


def _build_image(client: str, log: Log) -> None:
    context = Path(__file__).resolve().parents[2] / "docker" / "os"
    if not context.is_dir():
        raise MissingPart(f"os: {context} is missing: build the image from a checkout of the harness")
    log(f"os: building {image.CONTAINER_IMAGE} with {client}: about 800 MB of disk, one to five minutes")
    _run([client, "build", "-t", image.CONTAINER_IMAGE, str(context)], log, "building the image")
