"""A bare loop's process: `bare_loop.py URL PROMPTS IN_FLIGHT` posts a file's prompts and reads the answers.

The file holds a JSON list of lists: the prompts of each are posted one after the other.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import aiohttp

PARAMETERS = {"max_new_tokens": 512, "do_sample": False, "details": True}


async def main(url: str, talks: list[list[str]], in_flight: int) -> None:
    gate = asyncio.Semaphore(in_flight)
    connector = aiohttp.TCPConnector(limit=in_flight)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def one(prompts: list[str]) -> None:
            async with gate:
                for prompt in prompts:
                    body = {"inputs": prompt, "parameters": PARAMETERS}
                    async with session.post(f"{url}/generate", json=body) as response:
                        assert "generated_text" in json.loads(await response.read())

        await asyncio.gather(*(one(prompts) for prompts in talks))


if __name__ == "__main__":
    asyncio.run(
        main(sys.argv[1], json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")), int(sys.argv[3]))
    )
