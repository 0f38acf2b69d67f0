"""What a plan says of its cost before anything is sent."""

from harness.running.estimate import MANY, Estimate


def test_only_very_many_requests_to_an_endpoint_need_a_word():
    assert Estimate(MANY + 1, 100, True).many
    assert not Estimate(MANY, 100, True).many
    assert not Estimate(10**7, 100, False).many, "the oracle costs nobody anything"


def test_the_estimate_names_its_assumptions():
    text = str(Estimate(72_000, 100, True))
    assert text.startswith("about 72,000 requests and 83 million tokens, 1.0 h with 100 requests at a time")
    assert "assumed: 1,000 tokens of prompt, 150 of reply and 5 s" in text
