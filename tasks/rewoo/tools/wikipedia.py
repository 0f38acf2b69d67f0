"""The Wikipedia tool: the summary of a term's page, or similar titles."""

from __future__ import annotations

from harness.types import Chat
from tasks._shared.wiki.docstore import Docstore, not_found
from tasks._shared.wiki.page import LONGEST, Miss, NotRecorded, Refused, Wiki
from tasks.rewoo.action import NOTHING
from tasks.rewoo.tools.base import Evidence, ToolError


class Wikipedia:
    """Search only; newlines are kept.

    Args:
        cut: shorten a query that is too long for the wiki, instead of failing as upstream does.
    """

    def __init__(self, wiki: Wiki, *, cut: bool) -> None:
        self._wiki, self._cut = wiki, cut
        self.fallback = "offline wiki" if wiki.name == "offline" else ""

    async def use(self, key: str, text: str, chat: Chat | None) -> Evidence:
        del key, chat
        term = text[:LONGEST] if self._cut else text
        docs = Docstore(self._wiki)
        shown = await docs.search(term)
        source = self.fallback or self._wiki.name
        match docs.last:
            case NotRecorded():
                return Evidence(NOTHING, source, missed=True)
            case Refused(reason=reason):
                raise ToolError(reason)
            case Miss() as miss:
                return Evidence(not_found(term, miss), source)
            case _:
                return Evidence(shown, source)
