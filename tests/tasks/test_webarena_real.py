"""The real sites' path, with the own ones at their addresses: logins, locks, restoring, the 812 rows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from contexts import task_context

from harness.types import Reply, Score
from tasks._shared.browser import find_browser
from tasks.webarena import config, rows
from tasks.webarena.prompts import WebArenaPrompts
from tasks.webarena.sites import SITES
from tasks.webarena.task import TASK
from tasks.webarena.testsites.serve import open_sites

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(find_browser() is None and not os.environ.get("CI"), reason="no Chromium on PATH"),
]


async def test_logins_locks_and_restoring(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = mirror / "webarena"
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(config.NAMED, raising=False)
    async with open_sites(WebArenaPrompts(data).accounts) as served:
        for site in SITES:
            monkeypatch.setenv(site.upper(), served.sites.real[site])
        ctx = task_context(TASK, data, tmp_path)
        samples = TASK.samples(ctx)
        assert len(samples) == 812
        where = {site: f"site:{url}" for site, url in served.sites.real.items()}
        assert (samples[0].locks, samples[0].shares) == ((), (where["shopping_admin"],))
        assert samples[671].locks == (where["reddit"], where["shopping"])
        assert (samples[7].locks, samples[7].shares) == ((), ()), "a map has no state"
        writers = [one for one in samples if one.locks]
        assert all(int(one.id) not in rows.reading() for one in writers)
        async with TASK.world(ctx) as world:
            for _ in range(2):
                episode = await world.episode(samples[0], {}, 0)
                try:
                    shown = await episode.reset()
                    assert "heading 'Dashboard'" in shown.messages[-1].content
                    assert "URL: http://luma.com/admin" in shown.messages[-1].content
                    await episode.step(Reply("```stop [Quest Lumaflex\u2122 Band]```"))
                    score = await episode.score()
                    assert isinstance(score, Score) and score.value == 1.0
                finally:
                    await episode.close()
            assert world.kit.logins.made == {"shopping_admin": 1}, "the second found the stored login good"
            world.kit.logins.stored["shopping_admin"]["cookies"].clear()
            assert await world.kit.logins.state(("shopping_admin",))
            assert world.kit.logins.made == {"shopping_admin": 2}, "an expired login is made anew"
            assert "had not acted" in await world.restore(samples[0])
