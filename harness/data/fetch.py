"""Fetches pinned files from their addresses into the cache."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import IO, Any, cast

from harness.data.pins import Pin, pins
from harness.data.resolve import cache_folder, check, corrupt, data_folder, writable
from harness.data.verified import Verified
from harness.errors import DataError, MissingPart

log = logging.getLogger("harness.data")

CHUNK = 1 << 16
TIMEOUT_S = (10.0, 60.0)


def pull(task: str, split: str | None = None) -> list[str]:
    """Fetch every `url` file of a task (or of `core`) that the cache lacks or has corrupt.

    Args:
        task: its name, or `core`.
        split: fetch only what it reads; None for everything.

    Returns:
        One line for each required file that is still missing, with what to do about it.

    Raises:
        MissingPart: an address cannot be reached; what was fetched stays, and half a file is continued.
        DataError: the file fetched is not the pinned one; both hashes are named.
        UsageError: the cache cannot be written.
    """
    wanted = pins(task).of(split)
    folder = data_folder(wanted)
    seen = Verified(cache_folder() / "verified.json")
    lacking = [
        pin
        for pin in wanted.files
        if pin.kind == "url"
        and (not (path := wanted.place(folder, pin)).is_file() or corrupt(pin, path, seen, task))
    ]
    if lacking:
        log.info(
            "%s: %d files, %.1f MB to fetch into %s",
            task, len(lacking), sum(pin.size for pin in lacking) / 1e6, folder,
        )  # fmt: skip
        writable(folder)
    for pin in lacking:
        _fetch(pin, wanted.place(folder, pin))
    return [str(problem) for problem in check(wanted, folder)]


def _fetch(pin: Pin, target: Path) -> None:
    import pooch  # pyright: ignore[reportMissingTypeStubs]

    known = f"sha256:{pin.sha256}" if pin.sha256 else None
    try:
        cast(Any, pooch).retrieve(
            pin.url, known, fname=target.name, path=target.parent, downloader=_Resumed(target)
        )
    except ValueError as error:  # pooch raises it for a wrong hash, with both hashes, and deletes the file
        raise DataError(f"{pin.url}: {error}") from error
    except OSError as error:  # includes everything `requests` raises
        raise MissingPart(
            f"{pin.url} cannot be fetched ({error}): repeat the command, or bring the file to {target}"
        ) from error


class _Resumed:
    """A downloader for pooch that keeps what came before a broken connection and asks only for the rest."""

    def __init__(self, target: Path) -> None:
        self._part = target.with_name(f"{target.name}.part")

    def __call__(self, url: str, output_file: str | Path | IO[bytes], _: Any, **__: Any) -> None:
        import requests

        have = self._part.stat().st_size if self._part.is_file() else 0
        headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {}
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                self._part.unlink()
            answer.raise_for_status()
            more = have and answer.status_code == requests.codes.partial_content
            with self._part.open("ab" if more else "wb") as file:
                for chunk in answer.iter_content(CHUNK):
                    file.write(chunk)
        if not isinstance(output_file, (str, Path)):
            raise TypeError("pooch hands over the path of a temporary file")
        shutil.move(self._part, output_file)
