import hashlib
import http.server
import json
import os
import re
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness import data
from harness.catalog import registry
from harness.checks.tasks import doctor_task
from harness.cli.list_command import command as list_command
from harness.data.fetch import pull
from harness.data.prepare import prepare
from harness.errors import DataError, MissingPart, UsageError

BIG = bytes(range(256)) * 4096
SMALL = b'{"question": "1 + 1", "answer": "#### 2"}\n'
MADE = '{"derived": "from what the user has"}'

PREPARE = """
def prepare(source, target, tell):
    path = target / "made.json"
    path.write_text((source / "raw.txt").read_text())
    return [path]
"""


TASK = """
from harness.episode import BaseTask
from harness.types import TaskSpec


class Addition(BaseTask):
    spec = TaskSpec("addition", 1, "general", "score")

    def samples(self, cfg):
        return []


TASK = Addition()
"""


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves files, with ranges; breaks off the first answer for a path in `breaks`."""

    def __init__(self):
        self.files = {"/big.bin": BIG, "/small.jsonl": SMALL}
        self.breaks: set[str] = set()
        self.ranges: list[str | None] = []
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        body = self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if self.path in self.server.breaks:
            self.server.breaks.discard(self.path)
            self.wfile.write(body[start : start + 100_000])
            self.close_connection = True
            return
        self.wfile.write(body[start:])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join(10)


@pytest.fixture
def bench(tmp_path, monkeypatch, server):
    """A third party's package with a benchmark `addition`, found by its entry point; its folder."""
    package = tmp_path / "site" / "addition_bench"
    (package / "fixture").mkdir(parents=True)
    (package / "fixture" / "small.jsonl").write_bytes(b"{}\n")
    (package / "__init__.py").write_text('"""A benchmark of someone else."""\n')
    (package / "prepare.py").write_text(PREPARE)
    pins = [
        ("big.bin", "url", BIG, f'url = "{server.url}/big.bin"'),
        ("rows/small.jsonl", "url", SMALL, f'url = "{server.url}/small.jsonl"'),
        ("made.json", "derived", MADE.encode(), 'from = ["raw.txt"]'),
        ("extra.bin", "manual", b"x", 'instructions = "ask the authors"\noptional = true'),
    ]
    text = 'folder = "adding"\n'
    for path, kind, content, rest in pins:
        text += f'\n[[file]]\npath = "{path}"\nkind = "{kind}"\n{rest}\nsha256 = "{sha(content)}"\n'
        text += f'size = {len(content)}\nlicence = "MIT"\n'
    (package / "data.toml").write_text(text)
    facts = tmp_path / "site" / "addition_bench-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: addition-bench\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[harness.tasks]\naddition = addition_bench:TASK\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HARNESS_MIRROR", raising=False)
    yield package
    for name in [name for name in sys.modules if name.startswith("addition_bench")]:
        del sys.modules[name]


@pytest.fixture
def task(bench):
    """The benchmark with a task in it."""
    (bench / "__init__.py").write_text(TASK)
    return bench


@pytest.fixture
def full(tmp_path):
    """A mirror that has everything."""
    folder = tmp_path / "mirror" / "adding"
    (folder / "rows").mkdir(parents=True)
    (folder / "big.bin").write_bytes(BIG)
    (folder / "rows" / "small.jsonl").write_bytes(SMALL)
    (folder / "made.json").write_text(MADE)
    return folder


def test_every_missing_file_is_named_once_with_its_fix(bench, tmp_path):
    found = data.resolve("addition")
    assert found.source == "cache"
    assert found.path == tmp_path / "cache" / "data" / "adding"
    assert len(found.problems) == 2
    assert "2 files (big.bin, ...) are not in" in found.problems[0]
    assert found.problems[0].endswith("harness data pull addition")
    assert found.problems[1].endswith("harness data prepare addition --from PATH")
    assert not any("extra.bin" in line for line in found.problems)


def test_a_mirror_is_read_where_it_lies(bench, full, monkeypatch):
    found = data.resolve("addition", str(full.parent))
    assert (found.path, found.source, found.problems) == (full, "mirror", ())
    monkeypatch.setenv("HARNESS_MIRROR", str(full.parent))
    assert data.resolve("addition") == found


def test_a_mirror_that_is_no_folder_says_so(bench, tmp_path):
    (problem,) = data.resolve("addition", str(tmp_path / "nowhere")).problems
    assert "nowhere is not a folder: give --mirror" in problem


def test_a_corrupt_file_shows_both_hashes_and_is_never_passed_over(bench, full, tmp_path):
    import shutil

    shutil.copytree(full, tmp_path / "cache" / "data" / "adding")
    (full / "rows" / "small.jsonl").write_bytes(b"other")
    found = data.resolve("addition", str(full.parent))
    assert found.source == "mirror"
    (problem,) = found.problems
    assert sha(b"other") in problem
    assert sha(SMALL) in problem


def test_a_mirror_that_lacks_a_file_gives_way_to_a_complete_cache(bench, full, tmp_path):
    import shutil

    shutil.copytree(full, tmp_path / "cache" / "data" / "adding")
    (full / "made.json").unlink()
    found = data.resolve("addition", str(full.parent))
    assert (found.source, found.problems) == ("cache", ())


def test_the_fixture_is_taken_only_when_asked_for(bench):
    found = data.resolve("addition", data.FIXTURE)
    assert (found.path, found.source, found.problems) == (bench / "fixture", "fixture", ())
    assert data.resolve("addition").source != "fixture"
    (bench / "fixture" / "small.jsonl").unlink()
    (bench / "fixture").rmdir()
    assert "ships no fixture" in data.resolve("addition", data.FIXTURE).problems[0]


def test_hashes_are_remembered_until_a_file_changes(bench, full, tmp_path):
    assert not data.resolve("addition", str(full.parent)).problems
    known = tmp_path / "cache" / "verified.json"
    before = known.read_bytes()
    assert not data.resolve("addition", str(full.parent)).problems
    assert known.read_bytes() == before

    small = full / "rows" / "small.jsonl"
    facts = small.stat()
    small.write_bytes(SMALL.replace(b"1 + 1", b"1 + 2"))
    os.utime(small, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    assert "is corrupt" in data.resolve("addition", str(full.parent)).problems[0]


@pytest.mark.parametrize("content", ["not json", "[1]", '{"x": 5}'])
def test_a_broken_memory_of_hashes_only_costs_time(bench, full, tmp_path, content):
    known = tmp_path / "cache" / "verified.json"
    known.parent.mkdir()
    known.write_text(content)
    assert not data.resolve("addition", str(full.parent)).problems


def test_pull_fetches_what_has_an_address_and_says_what_is_left(bench, server):
    left = pull("addition")
    folder = data.resolve("addition").path
    assert (folder / "big.bin").read_bytes() == BIG
    assert (folder / "rows" / "small.jsonl").read_bytes() == SMALL
    assert left == [f"made.json is not in {folder}: harness data prepare addition --from PATH"]
    asked = len(server.ranges)
    pull("addition")
    assert len(server.ranges) == asked, "what is there is not fetched again"


def test_pull_continues_a_broken_download(bench, server):
    server.breaks.add("/big.bin")
    with pytest.raises(MissingPart, match="repeat the command"):
        pull("addition")
    folder = data.resolve("addition").path
    assert not (folder / "big.bin").exists(), "half a file never stands under its name"
    pull("addition")
    assert (folder / "big.bin").read_bytes() == BIG
    (resumed,) = [value for value in server.ranges if value]
    assert int(re.sub(r"\D", "", resumed)) > 0
    assert sorted(path.name for path in folder.rglob("*.*")) == ["big.bin", "small.jsonl"]


def test_pull_refuses_what_is_not_the_pinned_file(bench, server):
    server.files["/small.jsonl"] = b"something else"
    with pytest.raises(DataError) as caught:
        pull("addition")
    assert sha(b"something else") in str(caught.value)
    assert sha(SMALL) in str(caught.value)
    assert not (data.resolve("addition").path / "rows" / "small.jsonl").exists()


def test_pull_replaces_a_corrupt_file_of_the_right_size(bench):
    pull("addition")
    small = data.resolve("addition").path / "rows" / "small.jsonl"
    small.write_bytes(b"?" * len(SMALL))
    pull("addition")
    assert small.read_bytes() == SMALL


def test_pull_names_an_address_that_is_gone(bench, server):
    del server.files["/small.jsonl"]
    with pytest.raises(MissingPart, match=r"small\.jsonl cannot be fetched"):
        pull("addition")


def test_prepare_makes_the_derived_files(bench, tmp_path):
    (tmp_path / "raw.txt").write_text(MADE)
    (made,) = prepare("addition", tmp_path)
    assert made == data.resolve("addition").path / "made.json"
    assert made.read_text() == MADE
    pull("addition")
    assert data.resolve("addition").problems == ()


def test_prepare_from_another_version_installs_nothing(bench, tmp_path):
    (tmp_path / "raw.txt").write_text("another version")
    with pytest.raises(DataError) as caught:
        prepare("addition", tmp_path)
    assert sha(b"another version") in str(caught.value)
    assert sha(MADE.encode()) in str(caught.value)
    assert list((tmp_path / "cache" / "data").rglob("*.json")) == []
    assert not (tmp_path / "cache" / "data" / "adding").exists()


def test_a_task_without_prepare_says_what_to_do(bench):
    (bench / "prepare.py").unlink()
    with pytest.raises(UsageError, match="harness data pull addition"):
        prepare("addition", bench)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("folder = ", "is not a list"),
        pytest.param(f"folder = {'[' * 100_000}{']' * 100_000}", "is not a list", id="deep"),
        ("[[file]]\npath = 'a'\nkind = 'url'\nurl = 'u'\n", "folder"),
        ("folder = 'x'\n[[file]]\npath = 'a'\nkind = 'ftp'\n", "kind must be one of"),
        ("folder = 'x'\n[[file]]\npath = '../a'\nkind = 'manual'\n", "leaves the data folder"),
        ("folder = 'x'\n[[file]]\npath = 'a'\nkind = 'url'\nsha1 = '0'\n", "unknown keys"),
        ("folder = 'x'\n[[file]]\npath = 'a'\nkind = 'url'\n", "has no url"),
        ("folder = 'x'\n[[file]]\npath = 'a'\nkind = 'manual'\nsplits = 'test'\n", "splits must be a list"),
        ("folder = 'x'\n[[file]]\npath = 'a'\nkind = 'manual'\nfrom = 'b'\n", "from must be a list"),
        ("folder = 'x'\n[[file]]\npath = 'a'\nkind = 'manual'\nfolder = '../b'\n", "name of one folder"),
    ],
)
def test_a_data_toml_of_another_form_is_refused(task, broken, words):
    (task / "data.toml").write_text(broken)
    with pytest.raises(DataError, match=words) as caught:
        data.resolve("addition")
    assert "data.toml" in str(caught.value)
    assert any(
        finding.level == "fail" and "data.toml" in finding.state for finding in data_findings("addition")
    )


def data_findings(task, mirror=None):
    (findings,) = doctor_task(task, mirror=mirror).values()
    return [finding for finding in findings if finding.name == "data"]


def test_the_doctor_tells_what_is_there_and_what_is_not(task, full):
    lacking = data_findings("addition")
    assert [finding.level for finding in lacking] == ["fail", "fail"]
    assert lacking[0].fix == "harness data pull addition"
    there = data_findings("addition", str(full.parent))
    assert [finding.level for finding in there] == ["ok", "warn"]
    assert "3 required files" in there[0].state
    assert "extra.bin" in there[1].state
    assert there[1].fix == "ask the authors"


def test_the_doctor_refuses_an_unknown_task_and_names_the_nearest():
    with pytest.raises(UsageError, match="gsm8k"):
        doctor_task("gsm8")


def test_the_doctor_names_a_package_that_does_not_load(bench):
    ((finding,),) = doctor_task("addition").values()
    assert finding.level == "fail"
    assert "does not load" in finding.state


@pytest.mark.parametrize("raised", ["ValueError('odd')", "SystemExit(3)", "KeyError(1)", "RecursionError()"])
def test_a_package_whose_import_raises_is_named_and_the_others_are_listed(bench, raised):
    (bench / "__init__.py").write_text(f"raise {raised}\n")
    ((finding,),) = doctor_task("addition").values()
    assert raised.split("(")[0] in finding.state
    listed = CliRunner().invoke(list_command, ["tasks"], catch_exceptions=False)
    assert listed.exit_code == 0
    assert "gsm8k" in listed.output
    assert raised.split("(")[0] in listed.output


@pytest.mark.parametrize("task", ["core", *registry.names()])
def test_pins_of_every_task_are_whole(task):
    wanted = data.pins(task)
    seen = set()
    for pin in wanted.files:
        assert pin.path not in seen, "listed twice"
        seen.add(pin.path)
        assert re.fullmatch(r"[0-9a-f]{64}|", pin.sha256), pin.path
        assert pin.sha256 or pin.kind == "manual", f"{pin.path} is not pinned"
        assert pin.licence, f"{pin.path} has no licence"
        assert pin.fix(task)


@pytest.mark.parametrize("task", ["core", *registry.names()])
def test_what_the_mirror_has_is_what_is_pinned(task, mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    wanted = data.pins(task)
    there = [pin for pin in wanted.files if (mirror / wanted.folder / pin.path).is_file()]
    if any(pin.sha256 for pin in wanted.files):
        assert there, f"no pinned file of {task} is in the mirror"
    wrong = [problem for problem in data.check(wanted, mirror / wanted.folder) if problem.corrupt]
    assert wrong == []


def test_the_core_vocabulary_is_found_and_missed(mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    assert data.core_file("cl100k_base.tiktoken", str(mirror)).is_file()
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingPart, match="harness data pull core"):
        data.core_file("cl100k_base.tiktoken", str(tmp_path / "empty"))


def test_the_checkouts_tasks_have_their_folder(root: Path):
    assert data.task_folder("gsm8k") == root / "tasks" / "gsm8k"
    assert json.loads(json.dumps(list(registry.names()))) == sorted(registry.names())
