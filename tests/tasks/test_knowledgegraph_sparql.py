"""Queries: no text of a model gets into one, and programs that upstream cannot ask."""

from __future__ import annotations

import re

import pyoxigraph
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.knowledgegraph.program import And, Extreme, Join, both
from tasks.knowledgegraph.sparql import MalformedProgram, address, members, predicates

BUILT = Join("boats.ship_builder.ships_built", "m.t_001")
EMPTY = pyoxigraph.Store()
ADDRESS = r"<http://rdf\.freebase\.com/ns/[0-9A-Za-z_.-]+>"


@settings(max_examples=1000, deadline=None)
@given(st.text() | st.builds("m.{}".format, st.text('ab0_-.>"\\{}();\n \uff13', max_size=8)))
def test_no_name_injects_sparql(name: str):
    try:
        query = predicates(Join(name, name)).text
    except ValueError:
        return
    assert re.fullmatch(ADDRESS, address(name))
    assert re.findall(r"<[^>]*>", query).count(address(name)) == query.count(address(name))
    EMPTY.query(query)


def test_programs_that_upstream_cannot_ask_are_malformed():
    best = Extreme(BUILT, "boats.ship.launched", True)
    for program in (Extreme(best, "boats.ship.launched", False), And((best, Extreme(BUILT, "a.b.c", True)))):
        with pytest.raises(MalformedProgram):
            members(program)
    assert both(best, best) == best
    after = members(Join("boats.ship.place_built", best)).text
    assert after.count("LIMIT 1 ") == 1  # one value, among the members that the later relation leads on from
