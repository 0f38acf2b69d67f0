"""The pages of the `miniwob` package, changed on loading to what the released evaluation showed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from harness.errors import DataError, MissingPart

BEYOND = frozenset({"click-dialog", "click-dialog-2", "use-autocomplete", "choose-date"})
"""Pages whose dialogs stand beside the task's own frame; they are shown as well."""

CHECKBOXES = (
    "click-checkboxes",
    "click-checkboxes-large",
    "click-checkboxes-soft",
    "click-checkboxes-transfer",
)


@dataclass(frozen=True, slots=True)
class Change:
    """One replacement in a page's source, which must apply exactly once."""

    pattern: str
    by: str


_STRICT = Change(
    r"core\.endEpisode\(r / checkboxData\.elems, r > 0\);",
    "r = r === checkboxData.elems ? 1.0 : -1.0; core.endEpisode(r, r > 0);",
)
_MAILS = r"(?<=var n = )core\.randi\(4, MAX_EMAILS\)"
_POSTS = r"(?<=totalResults = )core\.randi\(\d+,\s*\d+\)"

CHANGES: dict[str, tuple[Change, ...]] = {
    # A partly right answer has no reward.
    **{name: (_STRICT,) for name in CHECKBOXES},
    # Shorter lists: 3 to 5 mails or posts; 3 in the pages with free English and in social-media.
    "email-inbox": (Change(_MAILS, "core.randi(3, 6)"),),
    "email-inbox-forward-nl": (Change(_MAILS, "core.randi(3, 6)"),),
    "email-inbox-nl-turk": (Change(_MAILS, "core.randi(3, 4)"),),
    "email-inbox-forward-nl-turk": (Change(_MAILS, "core.randi(3, 4)"),),
    "social-media": (Change(_POSTS, "core.randi(3, 4)"),),
    "social-media-all": (Change(_POSTS, "core.randi(3, 6)"),),
    "social-media-some": (Change(_POSTS, "core.randi(3, 6)"),),
    # Only sums.
    "simple-algebra": (Change(r"(?<=var MATH_ACTION = )\['-', '\+'\]", "['+']"),),
    # The list names its options in its class.
    "choose-list": (
        Change(
            r"(?<=  var ix = core\.randi\(0, n\);)",
            " sel.attr('class', ITEMS.slice(0, n).join(','));",
        ),
    ),
    # `ls` takes arguments and ignores them, `rm` takes the first argument that is no switch.
    "terminal": (
        Change(r"if\(input\.replace\(/\\s/g, ''\) ==='ls'\)", r"if(/^ls(\s|$)/.test(input))"),
        Change(
            r"(?<=var fileInput = )commandArgs\[1\]",
            "commandArgs.slice(1).filter(function(a){ return a && a[0] !== '-'; })[0]",
        ),
    ),
    "use-spinner": (Change(r"#spinner \{ width: 90%; \}\n", ""),),
}


def package_html() -> Path:
    """The folder of the package's pages.

    Raises:
        MissingPart: the package is not installed.
    """
    try:
        root = files("miniwob")
    except ModuleNotFoundError as error:
        raise MissingPart("miniwob is not installed; pip install 'agenttuning-harness[web]'") from error
    return Path(str(root)) / "html"


def names(html: Path) -> list[str]:
    """Every page of the package that is a task, in alphabetical order, the three flight sites last."""
    pages = sorted(path.stem for path in (html / "miniwob").glob("*.html"))
    flights = sorted(path.parent.name for path in (html / "flight").glob("*/wrapper.html"))
    return [*pages, *(f"flight.{name}" for name in flights)]


def location(html: Path, task: str) -> Path:
    """The page of a task."""
    if task.startswith("flight."):
        return html / "flight" / task.removeprefix("flight.") / "wrapper.html"
    return html / "miniwob" / f"{task}.html"


def changed(task: str, source: str) -> str:
    """A page's source with the changes of the released evaluation.

    Raises:
        DataError: the installed package has another page than the one the changes were written for.
    """
    for change in CHANGES.get(task, ()):
        source, count = re.subn(change.pattern, lambda _, by=change.by: by, source)
        if count != 1:
            raise DataError(
                f"{task}.html of the installed miniwob package is not the page known here "
                f"({change.pattern!r} is there {count} times); pip install 'miniwob==1.1.0' "
                "or use --set miniwob.variant=farama"
            )
    return source


def lay_out(html: Path, target: Path) -> Path:
    """Make a folder in which every page has its changes and everything else points into the package."""
    pages = target / "miniwob"
    pages.mkdir(parents=True, exist_ok=True)
    for folder in html.iterdir():
        if folder.name != "miniwob" and not (target / folder.name).exists():
            (target / folder.name).symlink_to(folder)
    for path in (html / "miniwob").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        (pages / path.name).write_text(changed(path.stem, text), encoding="utf-8")
    return target


def fingerprint(html: Path) -> str:
    """A hash of the pages and scripts that decide what an episode is."""
    digest = hashlib.sha256()
    for path in _decisive(html):
        digest.update(f"{path.relative_to(html)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _decisive(html: Path) -> Iterator[Path]:
    yield from sorted((html / "miniwob").glob("*.html"))
    yield from sorted((html / "core").glob("*.js"))
    yield from sorted((html / "common").glob("*.js"))
