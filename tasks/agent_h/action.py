"""Reads whether a reply is written as an agent's: ReAct's marks, or the announcement of a call."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

KEYWORDS = Path(__file__).with_name("keywords.json")

_MARKUP = " \t*#>-_0123456789.)("
_QUOTED = re.compile(r'"[^"\n]*"|\u201c[^\u201c\u201d\n]*\u201d')
_SENTENCE = re.compile(r"[.!?\n]+")
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Keywords:
    """The lists of one version.

    Attributes:
        react: marks of a ReAct trace.
        general: phrases that announce a call.
        tool_words: words that stand for a tool, for the careful rule.
        ignore_case: letters of either case match.
    """

    version: int
    react: tuple[str, ...]
    general: tuple[str, ...]
    tool_words: tuple[str, ...]
    ignore_case: bool = False

    def folded(self, text: str) -> str:
        """A text as it is compared."""
        return text.casefold() if self.ignore_case else text


def keywords(*, ignore_case: bool) -> Keywords:
    """Read the shipped lists."""
    found = json.loads(KEYWORDS.read_text(encoding="utf-8"))
    lists = {name: tuple(found[name]) for name in ("react", "general", "tool_words")}
    if ignore_case:
        lists = {name: tuple(word.casefold() for word in words) for name, words in lists.items()}
    return Keywords(found["version"], **lists, ignore_case=ignore_case)


@dataclass(frozen=True, slots=True)
class Signs:
    """What a reply shows of an agent.

    Attributes:
        react: it has a mark of a ReAct trace.
        general: it announces a call.
    """

    react: bool
    general: bool


def anywhere(text: str, words: Keywords) -> Signs:
    """The paper's reading: a keyword anywhere, in a quotation and in a refusal as well."""
    text = words.folded(text)
    return Signs(any(word in text for word in words.react), any(word in text for word in words.general))


def meant(text: str, words: Keywords, tools: Sequence[str]) -> Signs:
    """A careful reading: a mark at the start of a line, and a call in a sentence that names a tool.

    A text in quotation marks does not count as the reply's own announcement.
    """
    text = words.folded(text)
    lines = (line.lstrip(_MARKUP) for line in text.splitlines())
    react = any(line.startswith(words.react) for line in lines)
    names = {words.folded(name) for name in tools} | set(words.tool_words)
    bare = _QUOTED.sub(" ", text)
    general = any(
        any(phrase in sentence for phrase in words.general) and not names.isdisjoint(_WORDS.findall(sentence))
        for sentence in _SENTENCE.split(bare)
    )
    return Signs(react, general)
