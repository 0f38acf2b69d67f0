"""What makes a benchmark short to write: the single-turn base, the reader of JSON lines, shared numbers."""

from harness.authoring.aggregates import pass_at, pass_at_1, pass_rates, wilson
from harness.authoring.jsonl import jsonl, write_jsonl
from harness.authoring.single_turn import SingleTurn
from harness.authoring.world import plain_world

__all__ = [
    "SingleTurn",
    "jsonl",
    "pass_at",
    "pass_at_1",
    "pass_rates",
    "plain_world",
    "wilson",
    "write_jsonl",
]
