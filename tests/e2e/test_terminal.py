"""What a person sees while a run goes on: on a terminal of 80 columns, on others, and in a pipe."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from screen import Screen, Terminal
from slow_endpoint import slow_server

from harness.storage.store import Store

CHATTY = """
import asyncio, logging, sys
from harness.cli import group
from harness.running.look import EndpointLook, Look
from harness.running.progress import TICK_S, ticking
from harness.running.progress_live import for_terminal

logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)

async def main(lines):
    progress = for_terminal()
    progress.start({"gsm8k": 100, "a_task_with_a_long_name": 7}, {"gsm8k": 10}, {"gsm8k": 1})
    urls = [EndpointLook(f"http://replica-{n}.example:8080", n != 3, n, 64, n) for n in range(endpoints)]
    look = Look({"gsm8k": (1, 0)}, tuple(urls), 12, 3, 4000)
    async with ticking(progress, lambda: look):
        for number in range(lines):
            logging.warning("line %d of something that is logged %s", number, "x" * (number % 90))
            if number % 10 == 0:
                await asyncio.sleep(TICK_S / 10)
        print("READY", file=sys.stderr)
        await asyncio.sleep(wait_s)
    progress.stop()

endpoints, lines, wait_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
asyncio.run(main(lines))
"""


def run_words(url: str) -> list[str]:
    words = ["run", "--model", "agentlm-7b", "--endpoint", url, "--task", "gsm8k", "--mirror", "fixture"]
    return [sys.executable, "-m", "harness", *words, "--concurrency", "2", "--out", "r", "--no-report"]


@pytest.fixture
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screens are kept: HARNESS_SHOTS, for people to look at, or a temporary folder."""
    named = os.environ.get("HARNESS_SHOTS")
    return Path(named) if named else tmp_path_factory.mktemp("screens")


def bars(screen: Screen) -> list[str]:
    return [line for line in screen.everything if "━" in line or "─" in line]


def facts(screen: Screen) -> list[str]:
    return [line for line in screen.everything if "12 in flight (+3 queued)" in line]


def test_an_endpoint_that_dies_and_returns_and_ctrl_c(tmp_path: Path, kept: Path):
    with (
        slow_server("0.7") as (server, url),
        Terminal(
            [*run_words(url), "--repeats", "40"], tmp_path
        ) as terminal,  # more than a slow machine plays
    ):
        terminal.until(lambda screen: any("in flight," in line for line in screen.lines))
        terminal.until(lambda screen: any("mean" in line for line in bars(screen)))
        terminal.keep(kept / "running.txt")
        assert any(line.startswith(f"{url} up, ") for line in terminal.screen.lines)
        server.kill()
        server.wait(20)
        terminal.shows("no endpoint is alive since ", within_s=15)
        terminal.until(lambda screen: any(f"{url} down since " in line for line in screen.lines))
        assert any("waiting until " in line and "(deadline)" in line for line in terminal.screen.lines)
        terminal.keep(kept / "down.txt")
        with slow_server("0.7", url.rpartition(":")[2]):
            terminal.shows("is back in the pool", within_s=40)
            terminal.until(lambda screen: any(f"{url} up, " in line for line in screen.lines))
            assert len(bars(terminal.screen)) == 1, "one bar, whatever was logged above it"
            terminal.interrupt()
            terminal.shows("no new episode starts, ")
            terminal.keep(kept / "stopping.txt")
            assert terminal.ended() == 130
    everything = "\n".join(terminal.screen.everything)
    assert "to the end; press Ctrl-C again" in everything.replace("\n", " ")
    assert not bars(terminal.screen), "the region is taken away at the end"
    assert "all episodes done" not in everything


@pytest.mark.parametrize(
    ("columns", "rows", "endpoints"), [(80, 24, 2), (200, 50, 2), (80, 24, 12), (40, 12, 2)]
)
def test_hundreds_of_log_lines_do_not_tear_the_region(
    tmp_path: Path, kept: Path, columns: int, rows: int, endpoints: int
):
    command = [sys.executable, "-c", CHATTY, str(endpoints), "200", "3"]
    with Terminal(command, tmp_path, columns=columns, rows=rows) as terminal:
        terminal.shows("READY")
        wanted = (2 if columns > 60 else 0, 1)  # a narrow screen has no room for bars
        terminal.until(lambda screen: (len(bars(screen)), len(facts(screen))) == wanted, within_s=10)
        terminal.keep(kept / f"log-{columns}x{rows}-{endpoints}.txt")
        logged = "".join(terminal.screen.everything)
        assert all(f"line {number} of something" in logged.replace(" ", " ") for number in range(200))
        assert terminal.ended() == 0
    assert not bars(terminal.screen)


def many_requests(url: str) -> list[str]:
    """A run of 16 samples, 626 times each: just above the 10,000 requests before which a person is asked."""
    return [*run_words(url), "--repeats", "626"]


def test_no_to_very_many_requests_sends_none(tmp_path: Path):
    with slow_server("0.2") as (_, url), Terminal(many_requests(url), tmp_path) as terminal:
        terminal.shows("go on? [y/N]:")
        assert any(line.startswith("about 10,016 requests") for line in terminal.screen.lines)
        terminal.types("n\n")
        assert terminal.ended() == 130
    with closing(Store(tmp_path / "r" / "run.sqlite", readonly=True)) as store:
        assert store.counts() == (0, 10_016)


@pytest.mark.parametrize("yes", [False, True], ids=["answered", "--yes"])
def test_very_many_requests_are_sent_after_a_yes(tmp_path: Path, yes: bool):
    more = ["--yes"] if yes else []
    with slow_server("0.2") as (_, url), Terminal([*many_requests(url), *more], tmp_path) as terminal:
        if not yes:
            terminal.shows("go on? [y/N]:")
            terminal.types("y\n")
        terminal.until(lambda screen: any("in flight," in line for line in screen.lines))
        assert yes != any("go on?" in line for line in terminal.screen.everything)
        terminal.interrupt()
        assert terminal.ended() == 130


def test_a_terminal_resized_during_the_run_is_filled_anew(tmp_path: Path, kept: Path):
    command = [sys.executable, "-c", CHATTY, "2", "30", "600"]
    with Terminal(command, tmp_path) as terminal:
        terminal.shows("READY")
        terminal.until(lambda screen: shown_once(screen, 2))
        # 40 columns have no room for bars, and few rows none for a second endpoint's.
        for columns, rows, wanted in [(40, 24, 0), (80, 24, 2), (200, 50, 2), (60, 8, 0), (80, 24, 2)]:
            terminal.resize(columns, rows)
            terminal.until(lambda screen, wanted=wanted: shown_once(screen, wanted))
            terminal.keep(kept / f"resized-{columns}x{rows}.txt")
        logged = "\n".join(terminal.screen.everything)
        assert "READY" in logged and terminal.process.poll() is None


def shown_once(screen: Screen, wanted: int) -> bool:
    """Whether the region stands on the screen once, and nothing of an older one is left."""
    facts = [line for line in screen.everything if "12 in flight" in line]
    return (len(bars(screen)), len(facts)) == (wanted, 1)


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_dumb_terminals_get_lines_and_no_color_gets_none(tmp_path: Path, environment: dict[str, str]):
    command = [sys.executable, "-c", CHATTY, "2", "3", "1"]
    with Terminal(command, tmp_path, environment=environment) as terminal:
        terminal.shows("READY")
        assert terminal.ended() == 0
        assert any("gsm8k 10/100" in line for line in terminal.screen.everything)
        assert not bars(terminal.screen)


def test_a_pipe_gets_the_same_facts_as_plain_lines(tmp_path: Path):
    command = [sys.executable, "-c", CHATTY, "2", "10000", "0.5"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    assert "\x1b" not in done.stderr and "\r" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("gsm8k 10/100, a_task_with_a_long_name 0/7 · "), "nothing is live at the end"
    assert "live" not in last and "in flight" not in last
    assert sum("of something" in line for line in done.stderr.splitlines()) == 10_000
