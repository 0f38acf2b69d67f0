"""The harness's command line, as another process runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def harness(
    cwd: Path, *words: str, site: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command with an empty cache, no mirror and none of this machine's settings.

    Args:
        cwd: the folder it runs in, which also holds the cache.
        words: behind `harness`.
        site: a folder of packages of third parties.
        variables: further ones of the environment.
    """
    env = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
    env |= {"HARNESS_CACHE": str(cwd / "cache"), **variables}
    if site is not None:
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(site), env.get("PYTHONPATH", ""))))
    command = [sys.executable, "-m", "harness", *words]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False)
