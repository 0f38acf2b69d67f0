"""Writes the gate's verdict as JUnit XML: a suite for each benchmark suite, a case for each task."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from harness.decisions.gate import GateVerdict, TaskVerdict
from harness.errors import UsageError

FAILS = ("regression",)
ERRORS = ("no verdict", "not comparable")
SKIPS = ("not judged", "suspect")
_FORBIDDEN = re.compile("[^\\t\\n\\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold."""


def write(path: Path, verdict: GateVerdict, suites: Mapping[str, Sequence[str]]) -> None:
    """Write the file.

    Args:
        path: of the file.
        verdict: of the gate.
        suites: member tasks by suite; a task in none is listed in a suite of its own, `tasks`.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        path.write_bytes(document(verdict, suites))
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error}; give a file in an existing folder") from error


def document(verdict: GateVerdict, suites: Mapping[str, Sequence[str]]) -> bytes:
    """The XML; a task of several suites is listed under the first of them."""
    root = ET.Element("testsuites", name="harness gate")
    left = {task.task: task for task in verdict.tasks}
    for name, members in suites.items():
        _suite(root, name, [left.pop(task) for task in members if task in left])
    _suite(root, "tasks", list(left.values()))
    if verdict.unlike:
        case = _suite(root, "gate", [TaskVerdict("comparable", "not comparable")])
        case[0][0].text = _clean("\n".join(verdict.unlike))
    ET.indent(root)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)


def _suite(root: ET.Element, name: str, tasks: Sequence[TaskVerdict]) -> ET.Element:
    suite = ET.Element("testsuite", name=_clean(name), tests=str(len(tasks)))
    for kind, verdicts in (("failures", FAILS), ("errors", ERRORS), ("skipped", SKIPS)):
        suite.set(kind, str(sum(task.verdict in verdicts for task in tasks)))
    suite.extend(_case(name, task) for task in tasks)
    if tasks:
        root.append(suite)
    return suite


def _case(suite: str, task: TaskVerdict) -> ET.Element:
    case = ET.Element("testcase", classname=_clean(suite), name=_clean(task.task), time="0")
    for tag, verdicts in (("failure", FAILS), ("error", ERRORS), ("skipped", SKIPS)):
        if task.verdict in verdicts:
            part = ET.SubElement(case, tag, message=_clean(f"{task.verdict}: {task.reason}"))
            if tag == "failure":
                part.set("type", "regression")
                part.text = _clean("\n".join(task.fell))
            elif tag == "error":
                part.set("type", task.verdict.replace(" ", "-"))
    return case


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("?", text)
