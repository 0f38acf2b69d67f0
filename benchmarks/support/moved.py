"""By how much the working tree moved the figures of benchmarks: `make moved COMMIT=... SCRIPTS=...`.

Runs each script (`overhead.py`, say) on the tree of COMMIT and on this one, in turns, and prints every line
that both print, with the medians of its numbers: one that changed stands as before->after and its change.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent.parent.parent
ROUNDS = 3
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")

Figures = dict[str, list[tuple[float, ...]]]
"""The numbers of each line in every run, by the line with its numbers taken out."""


@contextmanager
def tree_of(commit: str) -> Iterator[Path]:
    """A checkout of a commit, removed afterwards."""
    git = ["git", "-C", str(HERE), "worktree"]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name) / "before"
        subprocess.run([*git, "add", "--quiet", "--detach", str(place), commit], check=True)
        try:
            yield place
        finally:
            subprocess.run([*git, "remove", "--force", str(place)], check=True)


def measure(tree: Path, script: str, figures: Figures) -> None:
    """Run a script of a tree once and add the numbers of its lines."""
    environment = os.environ | {"PYTHONPATH": str(tree)}
    command = [sys.executable, str(tree / "benchmarks" / script)]
    ran = subprocess.run(command, env=environment, cwd=tree, stdout=subprocess.PIPE, text=True, check=False)
    for line in ran.stdout.splitlines():
        numbers = tuple(float(number.replace(",", "")) for number in NUMBER.findall(line))
        if numbers:
            words = line.replace("{", "{{").replace("}", "}}")
            figures.setdefault(NUMBER.sub("{}", words), []).append(numbers)


def middle(runs: list[tuple[float, ...]]) -> list[float]:
    """The median of each number over the runs."""
    return [median(values) for values in zip(*runs, strict=True)]


def moved(before: float, after: float) -> str:
    """One number, or two and their change in percent."""
    if before == after:
        return f"{after:g}"
    change = f" ({100 * (after / before - 1):+.0f} %)" if before else ""
    return f"{before:g}->{after:g}{change}"


def main(commit: str, *scripts: str) -> int:
    with tree_of(commit) as old:
        for script in scripts:
            if not (old / "benchmarks" / script).is_file():
                print(f"{script} is not in {commit}, so there is nothing to compare it with")
                continue
            before: Figures = {}
            after: Figures = {}
            for _ in range(ROUNDS):
                measure(old, script, before)
                measure(HERE, script, after)
            print(f"{script}, medians of {ROUNDS}, load {os.getloadavg()[0]:.1f}")
            for line in after:
                if line in before:
                    pairs = zip(middle(before[line]), middle(after[line]), strict=True)
                    print("  " + line.format(*(moved(*pair) for pair in pairs)))
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("name a commit and scripts: make moved COMMIT=HEAD~1 SCRIPTS='overhead.py sandbox.py'")
    sys.exit(main(*sys.argv[1:]))
