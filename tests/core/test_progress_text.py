"""What a line of progress says at the end: "all episodes done" only when they are."""

from harness.running.look import EndpointLook, Look
from harness.running.progress_text import one_line
from harness.running.tally import Tally
from harness.storage.records import Attempt

END = EndpointLook("http://gpu:8080", True, 2, 8, 10)


def tally(done: int, live: tuple[int, ...], flying: int = 0) -> Tally:
    found = Tally()
    found.start({"gsm8k": 3}, {}, {"gsm8k": 1})
    for n in range(done):
        found.add(Attempt("gsm8k", 2, f"test/{n}", 0, "scored", 1.0))
    found.see(Look({"gsm8k": live}, (END,), flying))
    return found


def test_while_episodes_are_open_the_live_ones_are_told():
    assert one_line(tally(1, (1, 0), 2)).startswith("gsm8k 1/3 mean 1.000 · 2 live · 2 in flight · ")


def test_results_that_are_there_before_their_environments_are_closed():
    line = one_line(tally(3, (1, 1)))
    assert line.startswith("all results are there, 2 closing · ")
    assert "live" not in line


def test_nothing_is_live_once_the_command_has_ended():
    for done, begins in ((3, "all episodes done · 0 tok/s"), (1, "gsm8k 1/3 mean 1.000 · 0 tok/s")):
        ended = tally(done, (1, 1), 2)
        ended.end()
        assert one_line(ended).startswith(begins)


def test_an_attempt_that_failed_is_no_result():
    found = tally(2, ())
    found.add(Attempt("gsm8k", 2, "test/2", 0, "infra_error", None))
    found.end()
    assert "all episodes done" not in one_line(found)
    assert "gsm8k 2/3" in one_line(found)
