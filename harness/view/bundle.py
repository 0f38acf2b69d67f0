"""Writes the pages of a run to a folder that needs no server: scripts that hold the episodes in pieces."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from harness.errors import StoreError, UsageError
from harness.storage.codec import shared_prefix
from harness.view.episode import EpisodeView
from harness.view.library import Library, changes
from harness.view.query import Query
from harness.view.server import PAGES
from harness.view.texts import json_bytes

PIECE = 1_000_000
"""Bytes after which a file of episodes is full."""
ROWS, TOGETHER = 500, 5_000
"""Episodes of one file of the list, and of one query."""
ENTRY = 60
"""Bytes that say in which file an episode is."""
CHOSEN = {"": "", "flips": " that differ between the runs", "failed": " without a full value"}
WHOLE = 1_000_000
"""Characters of a long text that are written."""
SCRIPTS = ("dom.js", "source.js", "list.js", "episode.js", "app.js")
"""The modules in the order in which one file can hold them: a page opened from a folder loads no modules."""
POLICY = (
    "default-src 'none'; script-src 'self' file:; style-src 'self' file:; img-src data:;"
    " base-uri 'none'; form-action 'none'"
)

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./\w+\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)


def bundle(paths: Sequence[Path], folder: Path, *, only: str = "", most: int) -> str:
    """Write one run, or two for comparison, to a new folder.

    Args:
        paths: of the stores.
        folder: must not exist, or be empty.
        only: `flips` (episodes whose value differs between the runs) or `failed` (no full value).
        most: bytes that the folder may take; episodes beyond it are listed without their turns.

    Returns:
        What was written, in a sentence.

    Raises:
        UsageError: the folder is not empty, or there is no second run to differ from.
        StoreError: a run cannot be read, or the folder not written; it is then removed.
    """
    if only == "flips" and len(paths) < 2:
        raise UsageError("--only flips: give a second run (harness view RUN RUN2 --bundle DIR --only flips)")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already: give a new folder")
    with closing(Library(*paths)) as library:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return _Writer(library, folder, only, most).write()
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError):
                fix = "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "give another folder"
                raise StoreError(f"cannot write {folder}: {error.strerror}; {fix}") from error
            raise


class _Writer:
    """One bundle while it is written."""

    def __init__(self, library: Library, folder: Path, only: str, most: int) -> None:
        self._library, self._folder, self._only, self._most = library, folder, only, most
        self._size = 0
        self._places: dict[str, str] = {}
        self._piece: dict[str, bytes] = {}
        self._pieces = self._open = 0
        self._listed = self._left = self._unlisted = 0

    def write(self) -> str:
        """Write the list, then as many episodes as fit."""
        self._file("style.css", (PAGES / "style.css").read_bytes())
        self._file("app.js", _script())
        facts = [run | {"heartbeat": None} for run in self._library.answers["runs"]({})["runs"]]
        names: list[str] = []
        listed: list[tuple[int, int | None]] = []
        for rows in self._rows():
            body = json_bytes(rows)
            if self._size + len(body) > self._most // 2:
                self._unlisted += len(rows)
                continue
            names.append(f"rows-{len(names):05}")
            self._chunk(names[-1], body)
            listed += [(row["id"], row["other"]["id"] if row.get("other") else None) for row in rows]
        self._listed = len(listed)
        for id, other in listed:
            self._episode(id, other)
        self._next_piece()
        self._chunk("places", json_bytes(self._places))
        told = {"runs": facts, "rows": names, "note": self._note()}
        self._file("data.js", b"globalThis.harnessBundle = " + json_bytes(told) + b";\n")
        self._file("index.html", _index())
        return f"{self._folder / 'index.html'}: {self._note()}; {self._size / 1e6:.1f} MB"

    def _note(self) -> str:
        parts = [f"{self._listed} episodes{CHOSEN[self._only]}"]
        if self._left:
            parts.append(f"{self._left} of them without their turns, which exceed the size (--max)")
        if self._unlisted:
            parts.append(f"{self._unlisted} more are not listed, for the same reason")
        return "; ".join(parts)

    def _rows(self) -> Iterator[list[dict[str, Any]]]:
        """Rows of the chosen episodes, some hundred at a time, with their labels."""
        run = self._library.runs[0]
        sort, after = "change" if len(self._library.runs) > 1 else "stored", ()
        while after is not None:
            page = run.page(Query(sort=sort, down=True, after=after, limit=TOGETHER))
            rows = [row for row in page["rows"] if self._wanted(row)]
            for start in range(0, len(rows), ROWS):
                some = rows[start : start + ROWS]
                yield [row | {"labels": run.attempt(row["id"])["labels"]} for row in some]
            after = page["next"]

    def _wanted(self, row: dict[str, Any]) -> bool:
        if self._only == "flips":
            return row["other"] is not None and row["other"]["value"] != row["value"]
        top = 10.0 if self._library.runs[0].specs[row["task"]].get("unit") == "points" else 1.0
        return self._only != "failed" or row["value"] is None or row["value"] < top

    def _episode(self, id: int, other: int | None) -> None:
        """Add an episode with its other attempts, and its difference to the second run's, if they fit."""
        view = EpisodeView(self._library.runs[0], id)
        packed = _packed(view)
        if other is not None and not view.private:
            packed["changes"] = changes(view, EpisodeView(self._library.runs[1], other))
        body = json_bytes(packed)
        if self._size + self._open + len(body) + ENTRY * (len(self._places) + 1) > self._most:
            self._left += 1
            return
        self._piece[f"0/{id}"] = body
        self._places[f"0/{id}"] = f"part-{self._pieces:05}"
        self._open += len(body)
        if self._open >= PIECE:
            self._next_piece()
        for attempt in view.document["attempts"]:
            if f"0/{attempt['id']}" not in self._places and attempt["final"] == 0:
                self._episode(attempt["id"], None)

    def _next_piece(self) -> None:
        if not self._piece:
            return
        body = b",".join(json_bytes(name) + b":" + text for name, text in self._piece.items())
        self._chunk(f"part-{self._pieces:05}", b"{" + body + b"}")
        self._piece.clear()
        self._open = 0
        self._pieces += 1

    def _chunk(self, name: str, body: bytes) -> None:
        self._file(f"{name}.js", b'harnessChunk("' + name.encode() + b'",' + body + b");\n")

    def _file(self, name: str, body: bytes) -> None:
        (self._folder / name).write_bytes(body)
        self._size += len(body)


def _packed(view: EpisodeView) -> dict[str, Any]:
    """What a page may ask of an attempt, answered beforehand; private texts were hashed before."""
    own = [call for call in view.calls if not call.role]
    packed: dict[str, Any] = {
        "document": view.document,
        "whole": _whole(view),
        "dropped": {call.n: view.dropped(call.n) for call in own if call.turn and call.turn.kept is not None},
    }
    if not view.private:
        packed["replay"] = view.replay_line()
    return packed


def _whole(view: EpisodeView) -> list[Any]:
    """The texts that the document cuts; a prompt is what it adds to the one before in its role."""
    whole: list[Any] = [text[:WHOLE] for text in view.texts]
    before: dict[str, tuple[int, str]] = {}
    for step in view.document["steps"]:
        place = step["prompt"].get("place")
        if place is None:
            continue
        text = str(whole[place])
        after, old = before.get(step["role"], (None, ""))
        kept = shared_prefix(old, text)
        before[step["role"]] = (place, text)
        units = len(text[:kept].encode("utf-16-le", "surrogatepass")) // 2  # as a script counts
        whole[place] = {"after": after, "kept": units, "tail": text[kept:]}
    return whole


def _script() -> bytes:
    """All modules as one plain script."""
    texts = (_EXPORT.sub("", _IMPORT.sub("", (PAGES / name).read_text("utf-8"))) for name in SCRIPTS)
    return ('"use strict";\n(() => {\n' + "\n".join(texts) + "\n})();\n").encode()


def _index() -> bytes:
    page = (PAGES / "index.html").read_text("utf-8")
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    scripts = '<script defer src="data.js"></script>\n<script defer src="app.js"></script>'
    page = page.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n{policy}')
    return page.replace('<script type="module" src="app.js"></script>', scripts).encode()
