"""The offline Wikipedia, and the page an agent has open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiki_kit import LEAD

from harness.errors import DataError
from tasks._shared.wiki.corpus import Corpus, read_dump
from tasks._shared.wiki.docstore import NO_PAGE, RETRY, Docstore, Reading
from tasks._shared.wiki.page import Miss, Page

# -- the docstore


async def test_lookup_walks_sections_and_keeps_its_place_across_pages_as_upstream():
    corpus = Corpus([("Tern", LEAD), ("Lake", "A lake.\n\nThe lake is deep.")])
    docs = Docstore(corpus)
    assert docs.lookup("lake") == NO_PAGE
    assert await docs.search("Tern") == "Tern is a village.\nIt lies by a lake."
    assert docs.lookup("LAKE") == "(Result 1/1) Tern is a village.\nIt lies by a lake."
    await docs.search("Lake")
    assert docs.lookup("lake") == "(Result 2/2) The lake is deep."
    assert docs.lookup("lake") == "No More Results"
    assert docs.lookup("sea") == "No Results"


async def test_lookup_starts_anew_and_reads_sentences_when_told():
    corpus = Corpus([("Tern", LEAD), ("Lake", "A lake. It is deep.\n\nThe lake froze.")])
    docs = Docstore(corpus, Reading(search="paragraph", lookup="sentence", keep_index=False))
    assert await docs.search("Tern") == "Tern is a village."
    assert docs.lookup("lake") == "(Result 1/1) It lies by a lake."
    await docs.search("Lake")
    assert docs.lookup("lake") == "(Result 1/2) A lake."
    assert docs.lookup("lake") == "(Result 2/2) The lake froze."


async def test_a_miss_closes_the_page_and_a_refusal_leaves_it_open():
    docs = Docstore(Corpus([("Tern", "A village."), ('O\'Hare "Blue" Tern', "An inn.")]))
    await docs.search("Tern")
    assert await docs.search("x" * 301) == RETRY
    assert docs.lookup("village") == "(Result 1/1) A village."
    shown = await docs.search("Terns of blue tern")
    assert shown == """Could not find [Terns of blue tern]. Similar: ['O\\'Hare "Blue" Tern', 'Tern']"""
    assert docs.lookup("village") == NO_PAGE


async def test_a_page_that_starts_blank_has_an_empty_summary():
    docs = Docstore(Corpus([("Heron", "\n\nText after blank lines.")]))
    assert await docs.search("Heron") == ""


# -- the corpus


def test_corpus_resolution_order(tmp_path: Path):
    dump = tmp_path / "dump.jsonl"
    lines = [
        {"title": "A &amp; B", "text": "firm"},
        {"title": "tern", "text": "bird"},
        {"title": "Tern", "text": "village"},
        {"title": "Old Tern", "redirect": "Older Tern"},
        {"title": "Older Tern", "redirect": "Tern"},
        {"title": "Round", "redirect": "Round again"},
        {"title": "Round again", "redirect": "Round"},
    ]
    dump.write_text("".join(json.dumps(line) + "\n" for line in lines))
    corpus = Corpus(*read_dump(dump))
    opened = {term: corpus.find(term) for term in ("A & B", "tern", "Tern", "Old Tern", "TERN", "round")}
    assert [found.text for found in opened.values() if isinstance(found, Page)] == [
        "firm",
        "bird",
        "village",
        "village",
        "bird",
    ]
    assert opened["round"] == Miss(())


def test_lucky_opens_the_best_match():
    corpus = Corpus([("Tern", "A village."), ("Heron", "A bird.")], lucky=True)
    found = corpus.find("village of Tern")
    assert isinstance(found, Page)
    assert (found.title, found.via) == ("Tern", "search")


def test_a_broken_dump_names_the_line(tmp_path: Path):
    dump = tmp_path / "dump.jsonl"
    dump.write_text('{"title": "x", "text": "y"}\n{"title": "x"}\n')
    with pytest.raises(DataError, match=r"dump\.jsonl:2"):
        read_dump(dump)


@given(st.text(max_size=300))
def test_no_term_breaks_the_corpus(term: str):
    found = CORPUS.find(term)
    assert isinstance(found, (Page, Miss))


CORPUS = Corpus([("Tern", LEAD), ('"quoted" NEAR(a b)', "odd"), ("title:x*", "odd")])


def test_a_gold_title_is_found_by_its_words_on_the_real_pages(mirror: Path):
    from tasks.hotpotqa.rows import paragraphs, samples

    folder = mirror / "hotpotqa"
    corpus = Corpus(paragraphs(folder))
    titles = [title for item in samples(folder) for title in item.data["titles"]]
    found = [corpus.search(title) for title in titles]
    assert len(corpus) == 2958
    assert all(title in hits for title, hits in zip(titles, found, strict=True))
    assert sum(hits[0] == title for title, hits in zip(titles, found, strict=True)) / len(titles) > 0.94
