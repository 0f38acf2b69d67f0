"""MT-Bench without its judge, and with one that is half read: exit 3 until every answer has a verdict."""

from __future__ import annotations

from pathlib import Path

from command import harness
from rating_judge import chat

PLAY = ("run", "--task", "mt_bench", "--mirror", "fixture", "--limit", "first:2", "--no-report", "--out", "r")
GREEDY = ("--decoding", "greedy")  # the chat server below knows no temperature


def test_it_ends_with_3_until_every_verdict_can_be_read(tmp_path: Path):
    def say(*words: str) -> tuple[int, str]:
        done = harness(tmp_path, *words)
        return done.returncode, done.stdout + done.stderr

    with chat() as model, chat() as judge:
        play = (*PLAY, *GREEDY, "--model", "m@chat", "--endpoint", model.url)
        code, said = say(*play)
        assert code == 3, said
        assert "answers of mt_bench wait for a judge: harness judge r --judge NAME@URL" in said
        judging = ("judge", "r", "--judge", f"strict@{judge.url}")
        judge.odd = ("1", "Splendid. Rating: [[85]]")
        code, said = say(*judging)
        assert code == 3 and "2 verdicts cannot be read: judge RUN --retry asks for them again" in said, said
        assert "85.00" not in said, "a verdict outside its scale is none"
        judge.asked, judge.text = 0, "Rating: [[1]]"
        assert (say(*judging)[0], judge.asked) == (3, 0), "the same judge is not asked again by itself"
        judge.odd = ("1", "Rating: [[9]]")
        code, said = say(*judging, "--retry")
        assert (code, judge.asked) == (0, 1 + 2), "it is tried once before it is asked"
        assert "8.00" in said, "the readable verdicts stay, whatever the judge would say now"
        assert say(*play)[0] == 0
