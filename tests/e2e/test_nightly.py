"""The nightly script against a scripted model on loopback: nights with noise, a fault, and a dead server."""

import re

import pytest
from loopback_server import serving
from nightly_checkout import TASKS, TOKEN, Scripted, gate, make_checkout, night

from harness.models.local.loopback import application


@pytest.fixture
def checkout(tmp_path):
    return make_checkout(tmp_path)


async def test_nights_with_noise_are_green_a_fault_is_red_and_a_dead_server_is_no_verdict(checkout):
    model = Scripted()
    async with serving(application(model, "THUDM/agentlm-7b")) as url:
        runs: list[str] = []
        for number in range(3):
            model.night = number
            code, text = await night(checkout, f"n{number}", url)
            assert (code, "no baseline" in text) == (0, True), text
            runs.append(f"results/runs/agentlm-7b-nights-n{number}")
        assert model.asked == 3 * sum(TASKS.values())
        await gate(checkout, *runs, "--save", "results/baselines/agentlm-7b-nights.json")

        model.night = 3
        code, text = await night(checkout, "n3", url)
        assert code == 0, text

        model.night, model.broken = 4, "sums"
        summary = checkout / "summary.md"
        github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
        code, text = await night(checkout, "n4", url, **github)
        assert code == 4, text
        assert "::error title=harness gate sums" in text
        assert "| sums | REGRESSION |" in summary.read_text()
        report = (checkout / "results/nights/n4.xml").read_text()
        named = {line.strip() for line in report.splitlines()}
        found = {sample for sample in model.changed if any(sample in line.split(">")[-1] for line in named)}
        assert len(found) >= 0.9 * len(model.changed) > 10

        model.night, model.broken = 5, ""
        assert (await night(checkout, "n5", url))[0] == 0

        model.night, model.asked, model.answers = 6, 0, 250
        code, text = await night(checkout, "n6", url)
        assert code == 3, text
        assert "no verdict" in text
        model.answers = None
        assert (await night(checkout, "n6", url))[0] == 0, "the same night goes on when the server is back"
    for file in checkout.rglob("results/**/*"):
        assert not file.is_file() or TOKEN.encode() not in file.read_bytes(), file


async def test_webarenas_sites_are_a_night_of_their_own_where_their_addresses_are_set(checkout):
    """These addresses lead nowhere: that night is refused, and the suite's is played all the same."""
    model = Scripted()
    async with serving(application(model, "THUDM/agentlm-7b")) as url:
        code, text = await night(checkout, "n0", url, SHOPPING="http://127.0.0.1:9")
    assert code == 2, text
    assert model.asked == sum(TASKS.values())
    assert (checkout / "results/runs/agentlm-7b-nights-n0").is_dir()
    assert "webarena" in text and not (checkout / "results/runs/agentlm-7b-webarena-n0").exists()


@pytest.mark.slow
async def test_a_suspect_task_is_played_once_more_and_both_plays_decide(checkout):
    model = Scripted()
    async with serving(application(model, "THUDM/agentlm-7b")) as url:
        assert (await night(checkout, "n0", url))[0] == 0
        saved = "results/baselines/agentlm-7b-nights.json"
        await gate(checkout, "results/runs/agentlm-7b-nights-n0", "--save", saved)

        model.night, model.broken, model.asked = 1, "sums", 0
        code, text = await night(checkout, "n1", url, CONFIRM="rerun")
        assert (code, "suspect: sums; playing once more" in text) == (4, True), text
        assert model.asked == sum(TASKS.values()) + TASKS["sums"], "the suspect task alone is played again"
        assert (checkout / "results/runs/agentlm-7b-nights-n1-confirm/run.sqlite").is_file()
        asked = model.asked
        assert (await night(checkout, "n1", url, CONFIRM="rerun"))[0] == 4
        assert model.asked == asked, "the repetition is kept: the same night is judged again without a play"

        model.night, model.asked, model.fault = 5, 0, 0.065
        model.mended_after = sum(TASKS.values())
        code, text = await night(checkout, "n2", url, CONFIRM="rerun")
        assert (code, "playing once more" in text) == (0, True), text

        model.night, model.asked, model.fault = 3, 0, 0.10
        model.mended_after, model.answers = None, sum(TASKS.values()) + 100
        code, text = await night(checkout, "n3", url, CONFIRM="rerun")
        assert (code, "the repetition" in text) == (3, True), "no verdict while the repetition is incomplete"


SLOW = """#!/bin/sh
echo "$@" >> "{log}"
sleep 2
"""
"""In place of the command: it notes what it is called with, and takes up two seconds."""


@pytest.mark.parametrize(("limit", "code", "runs"), [("1m", 0, 2), ("1", 3, 1), ("soon", 2, 0)])
async def test_both_runs_of_a_night_share_its_time(checkout, limit: str, code: int, runs: int):
    (checkout / "slow").write_text(SLOW.format(log=checkout / "log"))
    (checkout / "slow").chmod(0o755)
    more = {"HARNESS": str(checkout / "slow"), "SHOPPING": "http://127.0.0.1:9", "TIME_LIMIT": limit}
    ended, text = await night(checkout, "n0", "http://127.0.0.1:9", **more)
    assert ended == code, text
    played = (checkout / "log").read_text().splitlines() if runs else []
    given = [int(re.search(r"--time-limit (\d+)s", words).group(1)) for words in played]
    assert len(given) == runs
    assert given == sorted(set(given), reverse=True), "the second gets what the first left"
    assert runs == 2 or "TIME_LIMIT=" in text
