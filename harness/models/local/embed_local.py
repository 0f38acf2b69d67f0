"""A sentence-transformers model of this machine, for roles that embed."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from harness.errors import InfraError, MissingPart
from harness.models import outside
from harness.models.clients.embed import Embed, Embedded, Embedder
from harness.models.clients.embed_wire import BATCH, checked

PACKAGE = "sentence_transformers"
MODULES = "modules.json"
"""Is in every folder that sentence-transformers saved; without it the pooling is unknown."""


class LocalEmbedder(Embedder):
    """A loaded model; one batch at a time, in a thread of its own."""

    def __init__(self, name: str, model: Any, thread: ThreadPoolExecutor) -> None:
        self.name = name
        self.info = {"kind": "st", "path": name.removeprefix("st:")}
        self._model = model
        self._thread = thread

    async def embed(self, call: Embed) -> Embedded:
        """Turn texts into vectors; texts that are too long are cut, as the model's own settings say."""
        found: list[tuple[float, ...]] = []
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(call.deadline_s):
                for start in range(0, len(call.texts), BATCH):
                    texts = [outside.paired(text) for text in call.texts[start : start + BATCH]]
                    found += await loop.run_in_executor(self._thread, self._encode, texts)
            return Embedded(checked(tuple(found)))
        except TimeoutError as error:
            raise InfraError(f"{self.name} took over {call.deadline_s:g} s") from error
        except (RuntimeError, ValueError) as error:  # out of memory, or no finite numbers
            raise InfraError(f"{self.name}: {error}") from error

    def _encode(self, texts: list[str]) -> list[tuple[float, ...]]:
        found = self._model.encode(texts, batch_size=BATCH, show_progress_bar=False)
        return [tuple(vector) for vector in found.tolist()]


@asynccontextmanager
async def open_local(path: str) -> AsyncGenerator[LocalEmbedder, None]:
    """Load the model of a folder.

    Raises:
        MissingPart: the folder is not there or holds no such model, or the package is not installed.
    """
    folder = _checked(path)
    with ThreadPoolExecutor(1, thread_name_prefix="embedder") as thread:
        loop = asyncio.get_running_loop()
        try:
            model = await loop.run_in_executor(thread, _load, folder)
        except Exception as error:  # a broken folder may raise anything
            raise MissingPart(f"st:{path} cannot be loaded: {error}") from error
        yield LocalEmbedder(f"st:{path}", model, thread)


def _checked(path: str) -> Path:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise MissingPart(f"st:{path}: no such folder; give that of a sentence-transformers model")
    if not (folder / MODULES).is_file():
        raise MissingPart(f"st:{path} has no {MODULES}; give the folder of a sentence-transformers model")
    try:
        there = importlib.util.find_spec(PACKAGE) is not None
    except ValueError:  # the name is blocked
        there = False
    if not there:
        raise MissingPart(f"st:{path} needs sentence-transformers: pip install 'agenttuning-harness[local]'")
    return folder


def _load(folder: Path) -> Any:
    package = importlib.import_module(PACKAGE)
    return package.SentenceTransformer(str(folder), local_files_only=True)
