"""Reads a reply into one action of the benchmark's grammar, and tells actions that count as the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

Verb = Literal[
    "none",
    "click",
    "hover",
    "type",
    "press",
    "scroll",
    "goto",
    "new_tab",
    "close_tab",
    "tab_focus",
    "go_back",
    "go_forward",
    "stop",
]

ALONE: tuple[Verb, ...] = ("new_tab", "close_tab", "go_back", "go_forward")
"""Verbs whose arguments, if any, are ignored."""

KEYS = {
    name.lower(): name
    for name in (
        "Enter",
        "Tab",
        "Delete",
        "Escape",
        "ArrowUp",
        "ArrowDown",
        "ArrowLeft",
        "ArrowRight",
        "PageUp",
        "PageDown",
        "Home",
        "End",
        "Insert",
        "Meta",
        "Backspace",
        "Shift",
        "Alt",
        "Control",
        *(f"F{n}" for n in range(1, 13)),
    )
}

_FENCE = re.compile(r"```(.*?)```")
_FENCE_LINES = re.compile(r"```(.*?)```", re.DOTALL)
_NUMBERED = {verb: re.compile(verb + r" ?\[(\d+)\]") for verb in ("click", "hover", "tab_focus")}
_TYPE = re.compile(r"type ?\[(\d+)\] ?\[")
_FLAG = re.compile(r"(?=\] ?\[(\d+)\])")
_FLAG_NAMED = re.compile(r" ?\[press_enter_after=([01])\]$")
_SCROLL = re.compile(r"scroll ?\[?(up|down)\]?")
_SCROLL_NAMED = re.compile(r"scroll ?\[?(?:direction=)?(up|down)\]?")
_UNTYPEABLE = re.compile("[^\n\u0020-\u007f\u0081-\u03e7]")


@dataclass(frozen=True, slots=True)
class ArenaAction:
    """What a reply asks for.

    Attributes:
        verb: `none` when the reply cannot be read.
        element: the shown id of what is clicked, hovered over or typed into.
        text: what is typed (a line break at its end presses Enter), the keys, the direction, the URL, the
            tab's number or the answer.
        crash: why the released code ended the task here without a score; empty where it did not.
    """

    verb: Verb = "none"
    element: str = ""
    text: str = ""
    crash: str = ""

    @property
    def same(self) -> Hashable:
        """What two actions share that the early stop counts as the same; what is typed does not matter."""
        return (self.verb, self.element, "" if self.verb == "type" else self.text)

    @property
    def acts(self) -> bool:
        """Whether it may change a site."""
        return self.verb in ("click", "type", "press", "goto")


NONE = ArenaAction()


def parse(reply: str, resolve: Callable[[str], str] = str, *, lenient: bool = False) -> ArenaAction:
    """Read the first fenced block of a reply.

    Args:
        reply: the model's text.
        resolve: puts the sites' real addresses in place of the shown ones.
        lenient: accept what the prompt's own introduction suggests and the released code refuses: a block of
            several lines, `[direction=down]`, `[press_enter_after=0]`, `Ctrl+` for `Control+`.
    """
    fenced = (_FENCE_LINES if lenient else _FENCE).search(reply)
    if fenced is None:
        return NONE
    text = resolve(fenced[1]).strip()
    if not text:
        return ArenaAction(crash="" if lenient else "the block is empty")
    verb = (text.partition("[")[0] if "[" in text else text.split(maxsplit=1)[0]).strip()
    if verb in ALONE:
        return ArenaAction(verb)
    if verb in _NUMBERED:
        return _numbered(verb, text)  # type: ignore[arg-type]
    if verb == "scroll":
        found = (_SCROLL_NAMED if lenient else _SCROLL).search(text)
        return ArenaAction("scroll", text=found[1]) if found else NONE
    if verb == "type":
        return _typed(text, lenient)
    if verb == "stop":
        return ArenaAction("stop", text=_inside("stop", text) or "")
    if verb in ("press", "goto"):
        inside = _inside(verb, text)
        if inside is None:
            return NONE
        return ArenaAction("goto", text=inside) if verb == "goto" else _pressed(inside, lenient)
    return NONE


def _numbered(verb: Literal["click", "hover", "tab_focus"], text: str) -> ArenaAction:
    found = _NUMBERED[verb].search(text)
    if found is None:
        return NONE
    return ArenaAction(verb, text=found[1]) if verb == "tab_focus" else ArenaAction(verb, found[1])


def _inside(verb: str, text: str) -> str | None:
    """The text between `verb [` and the last closing bracket; None when it is empty."""
    start = re.search(verb + r" ?\[", text)
    end = text.rfind("]")
    return text[start.end() : end] if start and end > start.end() else None


def _typed(text: str, lenient: bool) -> ArenaAction:
    """`type [ID] [TEXT] [FLAG]`; without a flag Enter is pressed. The text reaches to the last flag."""
    if lenient:
        text = _FLAG_NAMED.sub(r" [\1]", text)
    if not text.endswith(("[0]", "[1]")):
        text += " [1]"
    start = _TYPE.search(text)
    flags = [(found.start(), found[1]) for found in _FLAG.finditer(text)]
    if start is None or not flags or flags[-1][0] <= start.end():
        return NONE
    end, flag = flags[-1]
    typed = text[start.end() : end] + ("\n" if flag == "1" else "")
    strange = None if lenient else _UNTYPEABLE.search(typed)
    crash = f"U+{ord(strange[0]):04X} cannot be typed" if strange else ""
    return ArenaAction("type", start[1], typed, crash)


def _pressed(combination: str, lenient: bool) -> ArenaAction:
    names = combination.split("+")
    if lenient:
        names = ["Control" if name.strip().lower() in ("ctrl", "meta") else name.strip() for name in names]
    return ArenaAction("press", text="+".join(KEYS.get(name.lower(), name) for name in names))


def repeated(done: Sequence[ArenaAction], times: int) -> Literal["unread", "same", "typed"] | None:
    """Whether the last actions ended an episode early in the released code, and for which reason.

    Args:
        done: all actions so far, the last one last.
        times: how often is too often.
    """
    if not done:
        return None
    last, recent = done[-1], done[-times:]
    full = len(recent) == times
    if full and all(action.verb == "none" for action in recent):
        return "unread"
    if last.verb == "type":
        return "typed" if sum(action.same == last.same for action in done) >= times else None
    return "same" if full and all(action.same == last.same for action in recent) else None
