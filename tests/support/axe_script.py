"""axe-core, which looks for faults in how a page can be used: from the npm registry, pinned by its hash."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
from pathlib import Path

AXE = "axe-core@4.10.3"
SHA256 = "0f2b4d7dcdf7d1219df8d1959ad68e565f51d14c3f0d88bb71cd59abeb956292"
"""Of the package as the registry gives it."""


def axe_script(folder: Path) -> str:
    """Fetch the script into a folder and read it."""
    command = ["npm", "pack", "--silent", AXE]
    subprocess.run(command, cwd=folder, check=True, timeout=120, capture_output=True)
    (packed,) = folder.glob("*.tgz")
    if hashlib.sha256(packed.read_bytes()).hexdigest() != SHA256:
        raise ValueError(f"{AXE} is not the package that was pinned")
    with tarfile.open(packed) as archive:
        script = archive.extractfile("package/axe.min.js")
        if script is None:
            raise ValueError(f"{AXE} holds no axe.min.js")
        return script.read().decode("utf-8")
