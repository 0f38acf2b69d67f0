"""The card game: games per second of one core, and 512 games at once against a server that takes 50 ms.

Rules and players without prompts: at least 1,000 games per second of CPU time. The whole harness: wall at
most 1.3 x ideal, which is the larger of the longest game (its calls times 50 ms) and the wall of a bare
aiohttp loop that posts the same prompts, game by game. The server always answers with every guess and every
normal attack there is; the first that is legal is taken.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from support.playing import cpu_s, played
from support.running import fixed_latency_server

from harness.running.request import Execution, ModelChoice, RunRequest, Workload

DELAY_S, REPEATS = 0.05, 32
GAMES, GAMES_TARGET, WALL_TARGET, GRACE = 2000, 1000, 1.3, 1.5

FISH = ("spray", "flame", "eel", "sunfish")
EVERYTHING = "\n".join(
    [
        *(f"{{'guess_type': 'eel', 'target_position': {pos}}}" for pos in range(4)),
        *(
            f"{{'pick_fish': '{fish}', 'action': 'normal', 'target_position': {pos}}}"
            for fish, pos in itertools.product(FISH, range(4))
        ),
    ]
)


def games_per_s() -> float:
    """Games of the two opponents against each other, per second of CPU time."""
    from tasks.card_game.battle import IDS, Battle
    from tasks.card_game.chance import Chance
    from tasks.card_game.opponents import Baseline1, Baseline2, pick
    from tasks.card_game.seat import Seat

    def game(seed: int) -> None:
        chance = Chance(seed, clock=True)
        battle = Battle(IDS, pick(chance))
        seats = Seat(battle, 0), Seat(battle, 1)
        players = Baseline1(seats[0], chance), Baseline2(seats[1], chance)
        last = [None, None]
        while True:
            chance.tick()
            mover = battle.mover
            seats[mover].look(last[mover], last[1 - mover])
            guess = players[mover].guess()
            seats[mover].guessed_right = battle.guess(*guess) if guess else battle.guess(None)
            if battle.winner is not None:
                return
            last[mover] = battle.act(players[mover].act())
            if battle.winner is not None:
                return

    began = time.process_time()
    for seed in range(GAMES):
        game(seed)
    return GAMES / (time.process_time() - began)


def bare(url: str, games: Sequence[Sequence[str]]) -> tuple[float, float]:
    """CPU and wall of a loop that posts the same prompts in as many games side by side, nothing else."""
    import aiohttp

    async def main() -> tuple[float, float]:
        parameters = {"max_new_tokens": 512, "do_sample": False, "details": True}
        connector = aiohttp.TCPConnector(limit=len(games))
        async with aiohttp.ClientSession(connector=connector) as session:

            async def one(prompts: Sequence[str]) -> None:
                for prompt in prompts:
                    body = {"inputs": prompt, "parameters": parameters}
                    async with session.post(f"{url}/generate", json=body) as response:
                        assert "generated_text" in json.loads(await response.read())

            cpu, wall = cpu_s(), time.perf_counter()
            await asyncio.gather(*map(one, games))
            return cpu_s() - cpu, time.perf_counter() - wall

    return asyncio.run(main())


def main() -> int:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    rate = max(games_per_s() for _ in range(3))
    print(f"{rate:.0f} games/s of CPU time (target {GAMES_TARGET})")
    with fixed_latency_server(DELAY_S, EVERYTHING) as url, tempfile.TemporaryDirectory() as directory:
        models = ModelChoice(model="agentlm-7b", endpoints=(url,), concurrency=1024)
        work = Workload(tasks=("card_game",), mirror="fixture", repeats=REPEATS)
        run = played(RunRequest(work, models, Execution(out=Path(directory) / "run")))
        cpu, wall, games = run.cpu, run.wall, run.prompts
        floor_cpu, floor_wall = bare(url, games)
    calls, longest = sum(map(len, games)), max(map(len, games))
    print(f"{len(games)} games, {calls} calls, the longest game {longest}")
    print(f"cpu per call {cpu / calls * 1e3:.2f} ms, bare {floor_cpu / calls * 1e3:.2f} ms")
    latency = longest * DELAY_S
    ratio = wall / max(latency, floor_wall)
    print(f"wall {wall:.2f} s, bare {floor_wall:.2f} s, longest game {latency:.2f} s")
    print(
        f"wall ratio {ratio:.2f} (target {WALL_TARGET}), against the longest game alone {wall / latency:.2f}"
    )
    return int(rate * GRACE < GAMES_TARGET or ratio > GRACE * WALL_TARGET)


if __name__ == "__main__":
    sys.exit(main())
