"""How many samples hold a value that the server did not give, and what that does to the line."""

from harness.report.conditions import Conditions


def conditions(imputed, of):
    counts = {"calls": of, "imputed:1": imputed, "episodes": of, "episodes with imputed values": imputed}
    return Conditions(("choices by method O", "imputed:1"), counts)


def test_up_to_one_percent_is_told_and_stays_comparable():
    few = conditions(10, 1000)
    assert few.against_paper() == [] and "imputed values" not in few.moving()
    assert any("in 10 of 1,000 samples, 1.0 % of calls" in note for note in few.notes())


def test_above_one_percent_the_line_is_not_comparable():
    many = conditions(11, 1000)
    (reason,) = many.against_paper()
    assert "in 11 of 1,000 samples" in reason and many.moving()["imputed values"] == "yes"


def test_a_run_that_did_not_count_samples_is_not_comparable():
    (reason,) = Conditions(("imputed:2",)).against_paper()
    assert "share not recorded" in reason
