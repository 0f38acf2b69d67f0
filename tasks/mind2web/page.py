"""Cuts a recorded page down to a few candidates and writes it, and each candidate, as the model sees it.

Blanks between elements decide where a choice's first ten words end, so every step here is the same lxml
operation on the same tree as in Mind2Web's `dom_utils.py`: removing takes a node's tail along, splicing moves
a child with its tail.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from lxml import etree  # pyright: ignore[reportAttributeAccessIssue]

from harness.errors import DataError
from tasks.mind2web.pool import PageChoice

ID = "backend_node_id"
TEXT = "text"
MAX_DEPTH = 5
MAX_DESCENDANTS = 50
MAX_SIBLINGS = 3
CHOICE_WORDS = 10
"""Words of a candidate's own markup that its line of the question shows."""

TEXT_WORDS = 20
VALUE_WORDS = 5
LONG_WORD = 15
ATTRIBUTES = (
    *("role", "aria_role", "type", "alt", "aria_description", "aria_label", "label", "title", "name"),
    *("text_value", "value", "placeholder", "input_checked", "input_value", "option_selected", "class"),
)
"""Attributes that are shown, in this order."""

EMPTY_VALUES = frozenset({"hidden", "none", "presentation", "null", "undefined"})
ENTITIES = (
    *(("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", " "), ("&ndash;", "-")),
    *(("&rsquo;", "'"), ("&lsquo;", "'"), ("&ldquo;", '"'), ("&rdquo;", '"'), ("&#39;", "'")),
    *(("&#40;", "("), ("&#41;", ")")),
)
"""Replaced one after the other: `&amp;lt;` ends as `<`."""

_UNWRAPPED = re.compile(r"<text>(.*?)</text>")
_BLANKS = re.compile(r"\s+")


class RenderedPage(NamedTuple):
    """The page as text, and its candidates in document order."""

    text: str
    choices: list[PageChoice]


def parse(markup: str) -> etree._Element:
    """Parse a page's `cleaned_html`, which is XML.

    Raises:
        DataError: it is no well-formed XML, or defines entities.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(markup, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        # The parser's own message may quote the page.
        line = getattr(error, "lineno", None)
        where = f" (line {line})" if line else ""
        raise DataError(f"the page is not well-formed XML{where}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise DataError("the page has a document type of its own, which no page of Mind2Web has")
    return root


def missing(root: etree._Element, ids: Sequence[str]) -> list[str]:
    """The candidates that the page cannot show: not there, or a piece of text."""
    return _absent(_first(root, ids), ids)


def _absent(found: Mapping[str, etree._Element], ids: Iterable[str]) -> list[str]:
    return [id for id in ids if id not in found or found[id].tag == TEXT]


def render(markup: str, ids: Sequence[str]) -> RenderedPage:
    """Show the part of a page around some candidates.

    Args:
        markup: the whole page.
        ids: node ids of the candidates.

    Raises:
        DataError: the page cannot be parsed, or does not show a candidate.
    """
    root = parse(markup)
    candidates = _first(root, ids)
    if absent := _absent(candidates, ids):
        raise DataError(f"the page has no element {absent[0]}")
    prune(root, candidates)
    numbers: dict[str, int] = {}
    text = _written(root, numbers)
    choices = [
        PageChoice(node.attrib[ID], " ".join(_written(node, numbers).split()[:CHOICE_WORDS]))
        for node in root.iter("*")
        if ID in node.attrib
    ]
    return RenderedPage(text, choices)


def _first(root: etree._Element, ids: Iterable[str]) -> dict[str, etree._Element]:
    """The first node with each of these ids."""
    wanted, found = set(ids), dict[str, etree._Element]()
    for node in root.iter("*"):
        if (id := node.get(ID)) in wanted and id is not None:
            found[id] = node
            wanted.remove(id)
            if not wanted:
                break
    return found


def prune(root: etree._Element, candidates: Mapping[str, etree._Element]) -> None:
    """Remove from the tree what is not near a candidate, and ids of what is no candidate."""
    keep = {id for node in candidates.values() for id in _around(node)}
    # Reversed, so that a node's children are in their final form before the node is looked at.
    for node in reversed(list(_reached(root, keep))):
        parent = node.getparent()
        if parent is not None and not _kept(node, keep):
            parent.remove(node)
            continue
        if node.tag == TEXT or node.attrib.get(ID, "") not in candidates:
            node.attrib.pop(ID, None)
        if parent is not None and _is_wrapper(node):
            for child in list(node):
                node.addprevious(child)
            parent.remove(node)


def _reached(root: etree._Element, keep: set[str]) -> Iterator[etree._Element]:
    """The elements in document order without those below one that is removed: they go with it."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        if node is root or _kept(node, keep):
            waiting.extend(reversed([child for child in node if isinstance(child.tag, str)]))


def _kept(node: etree._Element, keep: set[str]) -> bool:
    """Whether a node stays; a text goes by its parent. A node without an id has the id ''."""
    named = node.getparent() if node.tag == TEXT else node
    return named is not None and named.attrib.get(ID, "") in keep


def _is_wrapper(node: etree._Element) -> bool:
    """Whether a node says nothing itself and holds at most one other."""
    return not node.attrib and node.tag != TEXT and len(node) <= 1 and all(c.tag != TEXT for c in node)


def _around(node: etree._Element) -> Iterator[str]:
    """Ids of a candidate, its ancestors, its first descendants and its nearest siblings."""
    yield node.attrib[ID]
    for other in node.iterancestors():
        yield other.attrib.get(ID, "")
    for other in islice(_descendants(node), MAX_DESCENDANTS):
        yield other.attrib.get(ID, "")
    parent = node.getparent()
    if parent is not None:
        siblings = [child for child in parent if child.tag != TEXT]
        at = siblings.index(node)
        for other in siblings[max(0, at - MAX_SIBLINGS) : at + MAX_SIBLINGS + 1]:
            yield other.attrib.get(ID, "")


def _descendants(node: etree._Element, depth: int = 0) -> Iterator[etree._Element]:
    """Descendants in document order, MAX_DEPTH + 1 levels deep."""
    for child in node if depth <= MAX_DEPTH else ():
        yield child
        yield from _descendants(child, depth + 1)


def _written(tree: etree._Element, numbers: dict[str, int]) -> str:
    """A tree as text: attributes as a few words, candidates by number.

    Args:
        tree: left as it is.
        numbers: of the candidates met so far, by id; gets those that are new.
    """
    tree = copy.deepcopy(tree)
    for node in tree.iter("*"):
        if node.tag == TEXT:
            node.text = " ".join((node.text or "").split()[:TEXT_WORDS])
            continue
        id = node.attrib.get(ID)
        words = _attribute_words(node.attrib)
        node.attrib.clear()
        if id is not None:
            node.attrib["id"] = str(numbers.setdefault(id, len(numbers)))
        if words:
            node.attrib["meta"] = words
    return _plain(etree.tostring(tree, encoding="unicode"))


def _attribute_words(attributes: Mapping[str, str]) -> str:
    """The words of the attributes that are shown, each value once, at most TEXT_WORDS together."""
    shown: list[str] = []
    for name in ATTRIBUTES:
        value = attributes.get(name, "").lower()
        if value in EMPTY_VALUES or value.startswith("http"):
            continue
        words = " ".join([word for word in value.split() if len(word) < LONG_WORD][:VALUE_WORDS])
        if words and words not in shown:
            shown.append(words)
    return " ".join(" ".join(shown).split()[:TEXT_WORDS])


def _plain(markup: str) -> str:
    """Markup without quotes, names of attributes, text elements and entities; in this order."""
    text = markup.replace('"', " ").replace("meta= ", "").replace("id= ", "id=").replace(" >", ">")
    text = _UNWRAPPED.sub(r"\1", text)
    for entity, meaning in ENTITIES:
        text = text.replace(entity, meaning)
    return _BLANKS.sub(" ", text).strip()
