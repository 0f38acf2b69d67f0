"""What a task has and lacks on this machine, each lack with its fix."""

from __future__ import annotations

from harness import data, registry
from harness.errors import HarnessError
from harness.models.doctor import Finding


def doctor_task(task: str, mirror: str | None = None) -> list[Finding]:
    """Check a task's programs, packages and data.

    Args:
        task: its name.
        mirror: as for `harness run`.
    """
    try:
        spec = registry.load(task).spec
    except HarnessError as error:
        return [Finding("fail", task, str(error), "reinstall the package it comes from")]
    findings: list[Finding] = []
    for need in spec.needs:
        wrong = need.missing()
        findings.append(
            Finding("fail" if wrong else "ok", need.name, wrong or "there", need.fix if wrong else "")
        )
    found = data.resolve(task, mirror)
    for line in found.problems:
        what, _, fix = line.partition(": ")
        findings.append(Finding("fail", "data", what, fix))
    if not found.problems:
        findings.append(Finding("ok", "data", str(found.path)))
    if not data.resolve(task, data.FIXTURE).problems:
        findings.append(Finding("ok", "fixture", "there (--mirror fixture runs without any data)"))
    return findings
