"""Fuzzes the readers of `fuzzed_parsers.py` with atheris, each for a minute, guided by coverage.

Usage: python fuzz.py [--seconds 60] [--seed N] [--jobs 2] [NAME...]

Each reader has a process of its own. An input that crashes one, or takes it over ten seconds, is written to
`tests/core/fuzzed_cases/NAME/`, where `tests/core/test_fuzzed.py` tries it from then on. Exit code: 1 when
there was any.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests" / "core" / "fuzzed_cases"
LONGEST, SLOW_S, MEMORY_MB = 4096, 10, 2048


def instrumented(name: str) -> None:
    """Fuzz one reader in this process; the rest of the arguments is libFuzzer's."""
    import atheris

    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
    with atheris.instrument_imports(include=["harness", "tasks"]):
        from fuzzed_parsers import PARSERS

    prefix = next(word.partition("=")[2] for word in sys.argv if word.startswith("-artifact_prefix="))

    def once(data: bytes) -> None:
        try:
            PARSERS[name](data)
        except Exception:  # libFuzzer does not always come to write it
            Path(f"{prefix}crash-{hashlib.sha1(data).hexdigest()}").write_bytes(data)
            raise

    atheris.Setup([sys.argv[0], *sys.argv[3:]], once)
    atheris.Fuzz()


def fuzz(name: str, seconds: int, seed: int, folder: Path) -> tuple[str, bool, str]:
    """Fuzz one reader in another process; its name, whether all went well, and what it said."""
    from fuzzed_parsers import PARSERS

    short = name.replace(" ", "_")
    corpus, found = folder / short, CASES / short
    corpus.mkdir()
    for number, data in enumerate(PARSERS[name].seeds):
        (corpus / f"seed{number}").write_bytes(data)
    for case in found.glob("*"):
        shutil.copy(case, corpus)
    artifacts = folder / f"{short}.found"
    artifacts.mkdir()
    options = [
        f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={LONGEST}", f"-timeout={SLOW_S}",
        f"-rss_limit_mb={MEMORY_MB}", f"-artifact_prefix={artifacts}/", "-print_final_stats=1",
    ]  # fmt: skip
    words = [sys.executable, __file__, "--one", name, *options, str(corpus)]
    began = time.monotonic()
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    said = done.stdout.decode(errors="replace")
    for crash in artifacts.iterdir():
        found.mkdir(parents=True, exist_ok=True)
        shutil.copy(crash, found)
    runs = next((line.split()[-1] for line in said.splitlines() if "number_of_executed_units" in line), "?")
    well = done.returncode == 0
    line = f"{name}: {'fine' if well else 'CRASHED'}, {runs} inputs, {time.monotonic() - began:.0f} s"
    return line, well, said


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1, 1 << 31))
    parser.add_argument("--jobs", type=int, default=2)
    chosen = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
    from fuzzed_parsers import PARSERS

    names = chosen.names or list(PARSERS)
    print(f"fuzzing {len(names)} readers for {chosen.seconds} s each, seed {chosen.seed}", flush=True)  # noqa: T201
    good = True
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, ThreadPoolExecutor(chosen.jobs) as pool:
        jobs = [pool.submit(fuzz, name, chosen.seconds, chosen.seed, Path(folder)) for name in names]
        for job in jobs:
            line, well, said = job.result()
            print(line if well else f"{line}\n{said[-3000:]}", flush=True)  # noqa: T201
            good = good and well
    return 0 if good else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        instrumented(sys.argv[2])
    else:
        sys.exit(main())
