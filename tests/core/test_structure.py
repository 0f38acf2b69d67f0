"""The size rule, no circles, few parts with few arrows between them, and that importing stays cheap."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

FILE_LINES, FUNCTION_LINES = 300, 50
HEAVY = (
    "pandas", "numpy", "datasets", "playwright", "ray", "torch", "aiohttp", "rich", "scipy", "tiktoken",
    "jinja2", "py4j", "textworld", "requests", "pooch", "msgspec", "zstandard",
)  # fmt: skip


def sources(root: Path) -> list[Path]:
    return [path for top in ("harness", "tasks") for path in sorted((root / top).rglob("*.py"))]


def test_files_and_functions_keep_to_the_size_rule(root: Path):
    long: list[str] = []
    for path in sources(root):
        text = path.read_text(encoding="utf-8")
        if (count := text.count("\n")) > FILE_LINES:
            long.append(f"{path.relative_to(root)}: {count} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > FUNCTION_LINES:
                    long.append(f"{path.relative_to(root)}:{node.lineno} {node.name}: {size} lines")
    assert not long, "\n".join(long)


INSIDE = {"tasks/humaneval/tester.py"}
"""Programs that are only ever passed to an interpreter inside the sandbox, where they run a model's code."""


def test_nothing_prints_and_nothing_evals(root: Path):
    found: list[str] = []
    for path in sources(root):
        if path.relative_to(root).as_posix() in INSIDE:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Name) and called.id in ("print", "eval", "exec"):
                found.append(f"{path.relative_to(root)}:{called.lineno} {called.id}")
    assert not found, "\n".join(found)


NAMED = re.compile(r"""\b[sgd]etattr\([^()"']*["'](?:\w+\.)*_[a-z]""")
"""A private attribute that is named in a string, which ruff does not see."""


def test_tests_name_no_private_attribute_in_a_string(root: Path):
    assert NAMED.search("monkeypatch.setattr(tokens, '_counted', {})")
    found = [
        f"{path.relative_to(root)}: {hit.group()}"
        for path in sorted((root / "tests").rglob("*.py"))
        if path != Path(__file__)
        for hit in NAMED.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


def imported_by(statement: str) -> set[str]:
    program = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_help_imports_nothing_heavy():
    shown = "from click.testing import CliRunner\nfrom harness.cli import group\n"
    shown += "assert CliRunner().invoke(group, ['--help']).exit_code == 0"
    assert not imported_by(shown) & set(HEAVY)


def test_listing_tasks_imports_no_environment():
    listing = "from harness.catalog import registry\nfor name in registry.names(): registry.load(name)"
    assert not imported_by(listing) & {
        "pandas",
        "numpy",
        "datasets",
        "playwright",
        "py4j",
        "textworld",
        "torch",
    }


def test_no_two_modules_import_each_other_in_a_circle(root: Path):
    modules = {module(root, path): path for path in sources(root)}
    left = {name: imports(path, modules) - {name} for name, path in modules.items()}
    while free := [name for name, wanted in left.items() if not wanted & left.keys()]:
        for name in free:
            del left[name]
    assert sorted(left) == []


UNITS, ARROWS = 22, 82


def test_the_cores_parts_stay_few_and_loosely_joined(root: Path):
    """A unit is a package or a module directly in `harness`; an arrow, that one imports another anywhere."""
    entries = {root / "harness/__init__.py", root / "harness/__main__.py"}
    paths = [path for path in sorted((root / "harness").rglob("*.py")) if path not in entries]
    modules = {module(root, path): path for path in paths}
    arrows = {
        (unit(name), unit(wanted))
        for name, path in modules.items()
        for wanted in imports(path, modules)
        if unit(name) != unit(wanted)
    }
    assert len({unit(name) for name in modules}) <= UNITS
    assert len(arrows) <= ARROWS, "\n".join(f"{start} -> {end}" for start, end in sorted(arrows))


def unit(name: str) -> str:
    return ".".join(name.split(".")[:2])


def module(root: Path, path: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path, modules: dict[str, Path]) -> set[str]:
    """The modules a file names in any import, also within functions and for type checking alone."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found |= {name if name in modules else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & modules.keys()
