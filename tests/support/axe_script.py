"""axe-core, which looks for faults in how a page can be used: from the npm registry, pinned by its hash."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from playwright.async_api import Page

AXE = "axe-core@4.10.3"
SHA256 = "0f2b4d7dcdf7d1219df8d1959ad68e565f51d14c3f0d88bb71cd59abeb956292"
"""Of the package as the registry gives it."""


AXE_S = 300.0
"""A look at one page takes seconds, and a minute on a machine with much else to do."""


async def violations(page: Page, script: str) -> list[dict[str, Any]]:
    """What axe finds in a page that is open, within `AXE_S`.

    The bound is the loop's own: a test's alarm may ring while Playwright reads an answer, which is then lost.
    """
    async with asyncio.timeout(AXE_S):
        await page.evaluate(script)
        return (await page.evaluate("axe.run()"))["violations"]


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
