"""What a task's calls say about its number: for readers, beside the paper, and beside another run."""

from __future__ import annotations

import pytest

from harness.report.conditions import METHODS, Conditions, overridden

PAPER_WAY = ("choices by method G", "decoding greedy")


def test_a_run_as_the_paper_played_it_has_nothing_against_it():
    played = Conditions(PAPER_WAY, {"calls": 10, "decoding greedy": 10, "episodes": 10})
    assert played.against_paper() == []
    assert played.moving() == {"choices": "G", "decoding": "greedy"}
    assert played.notes() == [f"choices ranked by {METHODS['G']}"]


def test_a_run_without_traits_says_nothing():
    nothing = Conditions()
    assert (nothing.decodings, nothing.moving(), nothing.against_paper(), nothing.notes()) == ([], {}, [], [])


@pytest.mark.parametrize("method", METHODS)
def test_the_method_of_choices_moves_the_number(method: str):
    played = Conditions((f"choices by method {method}",))
    assert played.moving() == {"choices": method}
    assert played.notes() == [f"choices ranked by {METHODS[method]}"]
    told = played.against_paper()
    assert told == ([f"choices by {METHODS['F']}"] if method == "F" else []), (
        "only generated text is another task"
    )


def test_two_methods_in_one_run_are_like_neither_of_them():
    both = Conditions(("choices by method G", "choices by method O")).moving()
    assert both == {"choices": "G, O"}
    assert both not in [Conditions((f"choices by method {name}",)).moving() for name in METHODS]


def test_a_method_of_a_later_version_is_named_as_it_is():
    assert Conditions(("choices by method Z",)).notes() == ["choices ranked by Z"]


@pytest.mark.parametrize("trait", ["raw->user", "truncate not sent"])
def test_what_the_server_would_not_take_moves_the_number_and_parts_it_from_the_paper(trait: str):
    played = Conditions((*PAPER_WAY, trait), {"calls": 10, trait: 1})
    assert played.moving()[trait] == "yes"
    (reason,) = played.against_paper()
    assert f"({trait})" in reason and reason in played.notes()


def test_replies_cut_by_the_harness_move_the_number_and_are_told_with_their_share():
    traits = ("reply cut at 1 characters", "reply cut at 2 characters")
    played = Conditions(traits, {"calls": 40, "reply cut at 1 characters": 1, "reply cut at 2 characters": 2})
    assert played.moving() == {"cut replies": "yes"}
    told = ["replies were cut at the harness's bound (7.5 % of calls)"]
    assert played.against_paper() == told and played.notes() == told


def test_imputed_values_are_told_whenever_there_are_any():
    counts = {
        "calls": 400,
        "imputed:1": 3,
        "imputed:2": 1,
        "episodes": 400,
        "episodes with imputed values": 4,
    }
    rare = Conditions(("imputed:1", "imputed:2"), counts)
    (note,) = rare.notes()
    assert note.endswith("(in 4 of 400 samples, 1.0 % of calls)")
    assert rare.against_paper() == [] and rare.moving() == {}
    often = Conditions(("imputed:1", "imputed:2"), counts | {"episodes with imputed values": 5})
    assert len(often.against_paper()) == 1 and often.moving() == {"imputed values": "yes"}


def test_decoding_as_it_was_understood_moves_the_number():
    played = Conditions(("decoding greedy", "decoding temperature 0.7, top-p 0.9"))
    assert played.decodings == ["greedy", "temperature 0.7, top-p 0.9"]
    assert played.moving() == {"decoding": "greedy and temperature 0.7, top-p 0.9"}
    assert played.moving() != Conditions(("decoding greedy",)).moving()
    assert played.notes() == [], "the report's head shows it"


@pytest.mark.parametrize(
    ("trait", "text"),
    [
        ("finish_reason length", "replies ended at max_new_tokens"),
        ("empty reply", "replies were empty"),
        ("thought", "replies began with a thought, which was taken out"),
        ("refusal", "replies were marked as refusals by the server"),
        ("tool call", "replies called a tool, though none was offered"),
    ],
)
def test_what_a_model_did_is_counted_and_makes_no_two_numbers_unlike(trait: str, text: str):
    played = Conditions((trait,), {"calls": 2_000, trait: 1_001})
    assert played.notes() == [f"{text} (1,001 of 2,000 calls, 50.0 %)"]
    assert played.moving() == {} and played.against_paper() == []
    assert Conditions((trait,)).notes() == [f"{text} (number not recorded)"], "a store of an older version"


def test_a_trait_nobody_knows_is_shown_as_it_is():
    played = Conditions(("stop strings not sent",), {"calls": 3})
    assert played.notes() == ["stop strings not sent"] and played.moving() == {}


def test_a_share_nobody_counted_is_not_called_small():
    assert Conditions(("reply cut at 1 characters",)).notes() == [
        "replies were cut at the harness's bound (share not recorded)"
    ]
    assert Conditions(("imputed:1",)).moving() == {"imputed values": "yes"}


def test_what_a_run_asked_of_its_model_is_shown_as_it_was_typed():
    sampling = {"temperature": 0.5, "stop": ["\n", "é"], "extra": {"top_k": 3, "mode": "ü"}}
    shown = '--temperature 0.5, --stop "\\n", --stop "é", --extra top_k=3, --extra mode="ü"'
    assert overridden({"sampling": sampling}) == shown
    assert overridden({}) == "" == overridden({"sampling": None})


def test_a_long_value_is_shown_by_its_beginning():
    assert overridden({"sampling": {"stop": ["x" * 1_000]}}) == f'--stop "{"x" * 79}...'
