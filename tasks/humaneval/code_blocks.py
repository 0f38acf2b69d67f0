"""Finds the code in a chat reply: its fenced blocks, or code between prose without a fence."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

_FENCE = re.compile(r"[ \t]*(?P<mark>`{3,}|~{3,})(?P<word>[^`~]*)")
_LATE_FENCE = re.compile(r"(?P<mark>```|~~~)(?P<word>\w{0,20})[ \t]*$")
_SHELL = frozenset({"bash", "sh", "shell", "console", "text", "output", "pycon", "json", "plaintext", "txt"})
_PROMPT = re.compile(r"[ \t]*(?:\$|>>>|pip3? )")
_BEGINNING = re.compile(r"^(?:from\s|import\s|def\s|async\s|@|class\s)", re.MULTILINE)
_CODE_LINE = re.compile(
    r"[ \t)\]}#@]|(?:from|import|def|class|async|if|elif|else|for|while|try|except|finally|with|return|assert"
    r"|print|raise|pass|global|del|lambda|not)\b(?!,)|[\w.\[\]'\"]{1,80}\(|[\w.\[\]'\", *]{1,80}[-+*/|&]?="
    r"|\"\"\"|'''"
)
_PROSE = re.compile(r"(?:[A-Z][a-z]+|I|A|if|for|with|not|while) [a-z]+ [a-z]+")
_IMPORTS = re.compile(r"(?:from\s+\S+\s+)?import\s")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `shell` is for a terminal, a transcript or data, not a program."""

    code: str
    shell: bool = False


def blocks(reply: str) -> list[Block]:
    """The fenced blocks, without the indentation of their fences; an unclosed one runs to the end."""
    found: list[Block] = []
    lines: list[str] | None = None
    mark = word = ""
    for line in reply.split("\n"):
        fence = _FENCE.fullmatch(line.rstrip())
        if lines is None:
            opening = fence or _LATE_FENCE.search(line[-40:])
            if opening:
                lines, mark, word = [], opening["mark"], opening["word"].strip().lower()
            continue
        if fence and fence["mark"].startswith(mark[:3]) and not fence["word"].strip():
            found.append(_block(lines, word))
            lines = None
        elif line.rstrip().endswith(mark[:3]):  # glued to the last line
            found.append(_block([*lines, line.rstrip()[:-3]], word))
            lines = None
        else:
            lines.append(line)
    if lines is not None:
        found.append(_block(lines, word))
    return found


def _block(lines: Sequence[str], word: str) -> Block:
    language = word.split(" ", 1)[0].strip("{}.")
    first = next((line for line in lines if line.strip()), "")
    return Block("\n".join(lines), language in _SHELL or bool(_PROMPT.match(first)))


def bare(reply: str) -> str:
    """Code without a fence: from its first statement to the first line of prose after it."""
    start = _BEGINNING.search(reply)
    if not start:
        return reply
    kept: list[str] = []
    quoted = False
    for line in reply[start.start() :].split("\n"):
        if line and not quoted and (_PROSE.match(line) or not _CODE_LINE.match(line)):
            break
        kept.append(line)
        quoted ^= (line.count('"""') + line.count("'''")) % 2 == 1
    return "\n".join(kept)


def imports(code: str) -> str:
    """The import lines at the left margin."""
    return "".join(f"{line}\n" for line in code.split("\n") if _IMPORTS.match(line))


def body(code: str) -> str:
    """A function's body, indented by four spaces in place of whatever it has."""
    lines = code.expandtabs(4).strip("\n").split("\n")
    rest = [line for line in lines[1:] if line.strip()]
    opens = lines[0].rstrip().endswith(":")
    if rest and not opens and not lines[0][:1].isspace() and all(line.startswith("    ") for line in rest):
        lines[0] = "    " + lines[0]  # only the first line lost its indentation
    return textwrap.indent(textwrap.dedent("\n".join(lines)), "    ") + "\n"
