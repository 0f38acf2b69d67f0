"""What `harness doctor --model` finds of a server's sampling: whether it does what a request asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from harness.errors import HarnessError
from harness.models.api import Model
from harness.models.sampling import changes_greedy, ignored
from harness.running.readiness import Finding

_FIXES = {
    "temperature": "tasks that draw at a temperature are refused; use a server that takes it",
    "greedy": "greedy tasks are refused; use a server that takes temperature 0",
    "seed": "a run that draws cannot be repeated here",
    "stop": "the harness cuts the reply; each takes longer than it must",
    "penalties": "start it without penalties (its generation_config.json, its --repeat-penalty)",
}


async def sampling(model: Model) -> list[Finding]:
    """Try seeds, temperature, stop strings and penalties of a model that answers; none of it is a failure."""
    try:
        found = await ignored(model)
        undone = await changes_greedy(model)
    except HarnessError as error:
        return [Finding("warn", model.name, f"its sampling cannot be tried ({error})", "see its log")]
    findings = [Finding("warn", model.name, f"ignores {one}", _FIXES[one.asked]) for one in found or ()]
    if found == []:
        text = "seeds, temperature, stop strings and greedy decoding are as asked"
        findings.append(Finding("ok", model.name, text))
    told = cast("Mapping[str, Any]", model.info.get("understood") or {})
    if undone:
        text = f"{told['server']} changes greedy text by itself; the values that are sent take that out"
        findings.append(Finding("ok", model.name, text))
    findings += [Finding("warn", model.name, text, "see docs/protocols.md") for text in told.get("unset", ())]
    return findings
