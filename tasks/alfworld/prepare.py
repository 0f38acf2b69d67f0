"""Makes the files that no address serves: games from ALFWorld's archive, and texts from two checkouts."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

from harness.data import Tell, extract_literals, pins, write_literals
from harness.errors import DataError, MissingPart
from tasks.alfworld import prompts
from tasks.alfworld.task import GAMES, LOGIC, SPLITS

MAX_GAME = 4 * 2**20


def prepare(source: Path, target: Path, tell: Tell) -> list[Path]:
    """Prepare from a `*_tw-pddl.zip` or its unpacked folder, or a checkout of AgentTuning or AgentBench.

    Games that are already in the target, and are the pinned ones, are not read again.

    Raises:
        MissingPart: the source is none of these.
        DataError: it lacks a game, or holds another edition of one.
    """
    if source.is_file() and zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            return _games(archive.namelist(), lambda name: _unzip(archive, name), target, tell)
    if (source / "AgentBench.old").is_dir():
        return _told(_agenttuning(source / "AgentBench.old", target), tell)
    if (source / "data/alfworld/logic").is_dir():
        return _told(_agentbench(source, target), tell)
    found = [path.relative_to(source).as_posix() for path in source.rglob("game.tw-pddl")]
    if found:
        return _games(found, lambda name: (source / name).read_bytes(), target, tell)
    raise MissingPart(
        f"{source} is neither ALFWorld's *_tw-pddl.zip nor a checkout of AgentTuning or AgentBench"
    )


def _unzip(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > MAX_GAME:
        raise DataError(f"{name} in the archive is far larger than any game")
    return archive.read(name)


def _games(names: list[str], read: Callable[[str], bytes], target: Path, tell: Tell) -> list[Path]:
    """Copy the pinned games, and only those, checking each."""
    wanted = {pin.path.removeprefix(f"{GAMES}/"): pin for pin in pins("alfworld").files if _is_game(pin.path)}
    # An archive may or may not have the folder json_2.1.1 (or a newer edition's) on top.
    have = {_tail(name): name for name in names if _is_game(name)}
    if missing := sorted(path for path in wanted if _tail(path) not in have):
        raise DataError(f"the source lacks {len(missing)} games, the first is {missing[0]}")
    written: list[Path] = []
    for path, pin in wanted.items():
        place = target / GAMES / path
        if not place.is_file() or _sha256(place.read_bytes()) != pin.sha256:
            _write(place, _checked(read(have[_tail(path)]), have[_tail(path)], pin.sha256))
        written.append(place)
        tell(len(written), len(wanted), path)
    return written


def _checked(content: bytes, name: str, pinned: str) -> bytes:
    if (found := _sha256(content)) != pinned:
        raise DataError(
            f"{name} has sha256 {found}, pinned is {pinned}: "
            "take json_2.1.3_tw-pddl.zip of ALFWorld's release 0.4.2"
        )
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _told(written: list[Path], tell: Tell) -> list[Path]:
    for done, path in enumerate(written, 1):
        tell(done, len(written), path.name)
    return written


def _is_game(path: str) -> bool:
    return path.endswith("/game.tw-pddl")


def _tail(path: str) -> str:
    return "/".join(path.split("/")[-4:])


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _agenttuning(old: Path, target: Path) -> list[Path]:
    folder = old / "src/tasks/alfworld"
    texts = {
        **extract_literals(folder / "task.py", [a for a in prompts.ADDRESSES if ":ALFWorld." in a]),
        **extract_literals(folder / "utils.py", [prompts.ARRIVAL]),
    }
    written = [write_literals(target / "prompts.json", {a: texts[a] for a in prompts.ADDRESSES})]
    for name in prompts.EXEMPLARS.values():
        written.append(_copy(folder / "prompts" / name, target / prompts.FOLDER / name))
    for split in ("std", "dev"):
        written.append(_copy(old / f"data/alfworld/{split}.json", target / SPLITS / f"{split}.json"))
    return written


def _agentbench(source: Path, target: Path) -> list[Path]:
    written = [
        _copy(source / "data/alfworld/logic" / name, target / LOGIC / name)
        for name in ("alfred.pddl", "alfred.twl2")
    ]
    module = source / "src/server/tasks/alfworld/task.py"
    if module.is_file():
        texts = extract_literals(module, [prompts.NEWER])
        written.append(write_literals(target / prompts.NEWER_FILE, texts))
    return written


def _copy(source: Path, target: Path) -> Path:
    if not source.is_file():
        raise DataError(f"{source} is missing: is the checkout complete?")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target
