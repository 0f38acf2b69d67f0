"""The choice of tokens for all rows of a batch: draws, cuts and temperatures, each row its own."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from tiny_model import needed

from harness.models.local.request import Parameters
from harness.models.local.sampler import Sampler, choose

DRAWS = 4000


def sampler(seed=0, **sent):
    return Sampler(needed("torch"), Parameters(**sent), seed=seed, grammar=None, ends=())


def test_draws_follow_the_chances_and_never_take_what_has_none():
    torch = needed("torch")
    chances = [0.0, 0.5, 0.0, 0.3, 0.2, 0.0]
    logits = torch.tensor(chances).log().repeat(DRAWS, 1)
    tokens, logprobs = choose(torch, logits, [sampler(seed, do_sample=True) for seed in range(DRAWS)])
    found = Counter(tokens.tolist())
    assert set(found) == {1, 3, 4}
    for token, count in found.items():
        chance = chances[token]
        assert abs(count - DRAWS * chance) < 5 * math.sqrt(DRAWS * chance * (1 - chance))
    assert logprobs[0, 1].item() == pytest.approx(math.log(0.5))


def test_each_row_is_chosen_as_if_it_were_alone():
    torch = needed("torch")
    asked = [{}, {"temperature": 0.5}, {"top_k": 2}, {"do_sample": True}, {"top_p": 0.4}, {"typical_p": 0.5}]
    logits = torch.randn(len(asked), 40, generator=torch.Generator().manual_seed(1))

    def samplers():
        return [sampler(seed, **sent) for seed, sent in enumerate(asked)]

    together = samplers()
    tokens, logprobs = choose(torch, logits.clone(), together)
    for row, one in enumerate(samplers()):
        alone, own = choose(torch, logits[row : row + 1].clone(), [one])
        assert alone.tolist() == [tokens[row].item()]
        assert own[0].tolist() == pytest.approx(logprobs[row].tolist(), abs=1e-5)
        assert one.drawn() == together[row].drawn(), "it took as many random numbers"
    assert tokens[0] == logits[0].argmax(), "greedy"
    assert logprobs[2].isfinite().sum() == 2, "top_k"
