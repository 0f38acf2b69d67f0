"""How a Java process for simulators is started."""

from __future__ import annotations

import os
from pathlib import Path

from harness.errors import MissingPart

HEAP_BASE_MB, HEAP_SLOT_MB = 64, 56


def jars() -> tuple[Path, Path]:
    """Find py4j's and the simulator's jar in the installed packages.

    Raises:
        MissingPart: the package is not installed.
    """
    try:
        from importlib.resources import files

        from py4j.java_gateway import find_jar_path

        return Path(find_jar_path()), Path(str(files("scienceworld") / "scienceworld.jar"))
    except ImportError as error:
        raise MissingPart("scienceworld: pip install 'agenttuning-harness[sciworld]'") from error


def command(heap_mb: int) -> list[str]:
    """Command line of a JVM for simulators.

    `hashCode=2` makes listings of same-named objects come in one order in every process; the process ends
    when its standard input does, so that it never outlives us.
    """
    path = os.pathsep.join(str(jar) for jar in jars())
    return [
        *("java", f"-Xmx{heap_mb}m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError"),
        *("-XX:+UnlockExperimentalVMOptions", "-XX:hashCode=2", "-Djava.awt.headless=true"),
        *("-cp", path, "py4j.GatewayServer", "--die-on-broken-pipe", "--enable-auth", "0"),
    ]
