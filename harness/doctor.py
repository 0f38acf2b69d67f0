"""What a task has and lacks on this machine, each lack with its fix."""

from __future__ import annotations

from harness import data, registry
from harness.errors import HarnessError
from harness.models.doctor import Finding


def doctor_task(task: str, mirror: str | None = None) -> list[Finding]:
    """Check a task's programs, packages and data.

    Args:
        task: its name, or `core` for the files several tasks use.
        mirror: as for `harness run`.

    Raises:
        UsageError: no such task, with the nearest names.
    """
    if task == data.CORE:
        return _data(task, mirror)
    if task not in registry.names():
        raise registry.nearest(task, registry.names(), "task")
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
    findings += [
        Finding("warn", f"role {role}", "to be bound for a run", f"--role {role}=NAME@URL")
        for role in spec.roles
        if role != "judge"
    ]
    findings += _data(task, mirror)
    if mirror != data.FIXTURE and not data.resolve(task, data.FIXTURE).problems:
        findings.append(Finding("ok", "fixture", "there (--mirror fixture runs without any data)"))
    return findings


def _data(task: str, mirror: str | None) -> list[Finding]:
    try:
        found = data.resolve(task, mirror)
        wanted = data.pins(task)
    except HarnessError as error:
        return [Finding("fail", "data", str(error), "reinstall the package it comes from")]
    if found.findings:
        return [Finding("fail", "data", problem.what, problem.fix) for problem in found.findings]
    if found.source == "fixture":
        return [Finding("ok", "data", f"the fixture in {found.path}")]
    lines = [Finding("ok", "data", f"{len(wanted.required)} required files verified in {found.path}")]
    for pin in wanted.files:
        if pin.optional and not (found.path / pin.path).is_file():
            lines.append(Finding("warn", "data", f"{pin.path} is not there (optional)", pin.fix(task)))
    return lines
