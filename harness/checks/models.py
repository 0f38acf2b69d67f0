"""Checks a model's endpoints for `harness doctor --model`, over the connections that a run would use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec

from harness.catalog import models as catalog
from harness.checks.local_model import local_findings
from harness.checks.sampling import sampling
from harness.checks.templates import template_findings
from harness.errors import DataError, HarnessError, MissingPart, RequestRejected
from harness.models import outside
from harness.models.api import Options
from harness.models.clients.alternatives import grammar, read_alternatives
from harness.models.clients.answer import read_generate
from harness.models.clients.build import api_key, base_url, templates
from harness.models.clients.probe import from_info
from harness.models.clients.request import call_headers, parameters
from harness.models.clients.served import wrongly_served
from harness.models.clients.transport import Transport
from harness.models.connect import open_model
from harness.models.pool.capabilities import Capabilities
from harness.models.pool.faults import Fault
from harness.models.trial import KEY, TALK, ranking, trial
from harness.models.untrusted import Body, decode, record, rows, short, tokens
from harness.running.readiness import Finding
from harness.types import Ask, Profile

Client = Literal["tgi", "text-generation"]
_PACKAGE_S = 120
"""Seconds that the text-generation package waits for an answer."""


def doctor_model(
    selector: str | catalog.Entry,
    endpoints: Sequence[str] = (),
    client: Client = "tgi",
    *,
    profile: Profile = "paper",
    ranked: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Check every endpoint of a model: whether a run could use it, and what it can do.

    Args:
        selector: as after `--model`, or the entry that it was resolved to.
        endpoints: base URLs; none takes those of models.toml.
        client: `text-generation` sends a request through that package as well, to compare the answers.
        profile: as for `harness run`.
        ranked: as `harness run` has it: tasks that need choices ranked, with how to do without.

    Raises:
        UsageError: no such model.
    """
    entry = selector if isinstance(selector, catalog.Entry) else catalog.find(selector)
    if entry.local:
        if endpoints:
            text = "runs inside the harness"
            return [Finding("fail", entry.name, text, "leave out --endpoint")]
        if entry.kind == "hf":
            return local_findings(entry)
        return [Finding("ok", entry.name, "runs inside the harness; there is no endpoint to check")]
    urls = [base_url(entry, url) for url in endpoints or entry.endpoints]
    if not urls:
        return [Finding("fail", entry.name, "no endpoint", "give --endpoint http://host:port")]
    return asyncio.run(_doctor(entry, urls, client, _Wanted(profile, ranked or {})))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What of a run the checks of a model depend on: the profile, the tasks that rank choices."""

    profile: Profile
    ranked: Mapping[str, str]


async def _doctor(
    entry: catalog.Entry, urls: Sequence[str], client: Client, wanted: _Wanted
) -> list[Finding]:
    raised: list[Finding] = []
    refusing: list[Finding] = []
    try:
        refusing = await _as_a_run(entry, urls, wanted)
    except DataError as error:  # the template, without which there is nothing to send
        return [Finding("fail", entry.name, *_halves(str(error), ": "))]
    except HarnessError as error:
        raised = [Finding("fail", entry.name, *_halves(str(error), "; "))]
    wrong = {finding.name for finding in refusing}
    findings = [f for url in urls if url not in wrong for f in await _check(entry, url, client)]
    served = {f.state.partition(" with ")[0][7:] for f in findings if f.state.startswith("serves ")}
    if len(served) > 1:
        text = f"the endpoints serve different models: {', '.join(sorted(served))}"
        findings.append(Finding("fail", entry.name, text, "give only endpoints of one model"))
    if all(finding.good for finding in findings):  # what was raised concerns all endpoints together
        findings += raised
    told = (*(f for f in refusing if f.good), *findings, *(f for f in refusing if not f.good))
    return [replace(f, state=outside.shown(f.state)) for f in told]


async def _as_a_run(entry: catalog.Entry, urls: Sequence[str], wanted: _Wanted) -> list[Finding]:
    """What `harness run` would refuse before it sends anything; else how it samples, and its templates."""
    async with open_model(entry, endpoints=urls, profile=wanted.profile) as model:
        troubles = await trial(model)
        if troubles:
            return [Finding("fail", trouble.url, trouble.what, trouble.fix) for trouble in troubles]
        unranked = await ranking(model, wanted.ranked)
        refused = [Finding("fail", model.name, *_halves(line, ": ")) for line in unranked]
        return [*refused, *await sampling(model), *await template_findings(model)]


def _halves(line: str, mark: str) -> tuple[str, str]:
    """What is wrong and what to do, of a line that says both."""
    what, _, fix = line.rpartition(mark)
    return (what, fix) if what else (line, "see the message")


async def _check(entry: catalog.Entry, url: str, client: Client) -> list[Finding]:
    """One endpoint: all that was found, until the first thing that leaves nothing more to ask."""
    found: list[Finding] = []
    try:
        transport = Transport(limit=0, token=api_key(entry))
    except HarnessError as error:
        return [Finding("fail", url, str(error), "see the message")]
    try:
        probe = _Probe(url, transport)
        findings = _check_openai(entry, probe) if entry.kind != "tgi" else _check_tgi(entry, probe, client)
        async for finding in findings:
            found.append(finding)
    except Fault as fault:
        fix = fault.fix or "start it (docker/README.md) or give --endpoint http://host:port"
        what = str(fault).removesuffix(f": {fault.fix}").removeprefix(url).lstrip(": ")
        found.append(Finding("fail", url, f"does not answer: {what}", fix))
    except HarnessError as error:
        found.append(Finding("fail", url, str(error), "see the message"))
    finally:
        await transport.close()
    return found


async def _check_tgi(entry: catalog.Entry, probe: _Probe, client: Client) -> AsyncIterator[Finding]:
    yield await probe.health()
    able = await probe.info()
    for finding in _compare_info(entry, probe.url, able):
        yield finding
    chosen = templates(entry, "fixed", Options())
    prompt = chosen.get("general", chosen[""]).render(TALK)
    text, finding = await probe.generate(prompt)
    yield finding
    if await probe.double_bos(prompt):
        what = "the prompt begins with two BOS tokens"
        yield Finding("fail", probe.url, what, "take <s> out of the template")
    yield await probe.choices(prompt)
    if client == "text-generation":
        yield await asyncio.to_thread(_compare_client, probe.url, prompt, text, api_key(entry))


def _compare_info(entry: catalog.Entry, url: str, able: Capabilities) -> Iterator[Finding]:
    if able.server == "generic":
        fix = "check that this is a TGI endpoint; for others use NAME@openai or NAME@chat"
        yield Finding("warn", url, "no usable /info: nothing is known of the server", fix)
        return
    yield Finding(
        "ok", url, f"serves {able.model_id} {able.model_sha} with TGI {able.version}".replace("  ", " ")
    )
    if wrong := wrongly_served(entry, url, able):
        yield Finding("fail", url, f"{entry.name} is {entry.sha or entry.served}", f"--model {wrong.named}")
    elif not entry.served and entry.hf and able.model_id not in (entry.hf, *entry.aliases):
        text = f"{entry.name} should be {entry.hf}"
        yield Finding("warn", url, text, "right if this is a local path to those weights")
    if 0 < able.max_total < entry.context:
        text = f"takes {able.max_total} tokens in all, the model {entry.context}"
        yield Finding("warn", url, text, f"start it with MAX_TOTAL_TOKENS={entry.context} or more")
    if able.version and not able.tokenize:
        text = f"TGI {able.version} cannot tokenize or take grammars"
        yield Finding(
            "warn", url, text, "fine for the paper's image; MMLU then reads the log-probabilities instead"
        )


async def _check_openai(entry: catalog.Entry, probe: _Probe) -> AsyncIterator[Finding]:
    status, body = await probe.get("/v1/models")
    served = [short(record(row).get("id")) for row in rows(record(_parsed(body)).get("data"))]
    if status != 200:
        yield Finding("warn", probe.url, f"/v1/models answered {status}", "its models are not known")
        return
    known = entry.wire_name in served
    text = f"offers {', '.join(served[:5])}" + ("" if known else f", not {entry.wire_name}")
    yield Finding(
        "ok" if known else "warn", probe.url, text, "" if known else "use the name the server gives"
    )


def _compare_client(url: str, prompt: str, ours: str, token: str) -> Finding:
    """Ask the same through the text-generation package."""
    import importlib
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            package: Any = importlib.import_module("text_generation")
    except ImportError as error:
        raise MissingPart("pip install 'agenttuning-harness[tgi-client]'") from error
    sent = call_headers(KEY) | ({"Authorization": f"Bearer {token}"} if token else {})
    other = package.Client(url, headers=sent, timeout=_PACKAGE_S)
    try:
        theirs = str(other.generate(prompt, max_new_tokens=8).generated_text)
    except Exception as error:  # whatever the package raises is the finding
        return Finding(
            "fail", url, f"text-generation: {type(error).__name__}: {error}", "compare with --client tgi"
        )
    if theirs != ours:
        text = f"the text-generation package got {theirs!r}, the harness {ours!r}"
        return Finding(
            "warn", url, text, "greedy decoding is not bit-stable under load; try again when it is idle"
        )
    return Finding("ok", url, "the text-generation package gets the same text")


class _Probe:
    """One endpoint."""

    def __init__(self, url: str, transport: Transport) -> None:
        self.url = url
        self._transport = transport

    async def get(self, path: str) -> tuple[int, bytes]:
        return await self._transport.get(self.url + path)

    async def post(self, path: str, data: Mapping[str, Any]) -> Body:
        body, _ = await self._transport.post(
            self.url + path, msgspec.json.encode(data), call_headers(KEY), max_new_tokens=8
        )
        return body

    async def health(self) -> Finding:
        status, _ = await self.get("/health")
        if status == 200:
            return Finding("ok", self.url, "healthy")
        return Finding(
            "fail" if status >= 500 else "warn", self.url, f"/health answered {status}", "see its log"
        )

    async def info(self) -> Capabilities:
        status, body = await self.get("/info")
        info = record(_parsed(body)) if status == 200 else {}
        known = short(info.get("version")) and short(info.get("model_id"))
        return from_info(info) if known else Capabilities()

    async def generate(self, prompt: str) -> tuple[str, Finding]:
        sent = parameters(Ask(8), seed=None)
        started = time.monotonic()
        body = await self.post("/generate", {"inputs": prompt, "parameters": sent})
        answer = read_generate(body, {}, where=self.url)
        took = time.monotonic() - started
        if not answer.detailed:
            return answer.text, Finding(
                "warn", self.url, "answers without details", "token counts will be missing"
            )
        text = f"8 greedy tokens in {took:.2f} s: {answer.text[:40]!r}"
        return answer.text, Finding("ok", self.url, text)

    async def double_bos(self, prompt: str) -> bool:
        """Whether a prompt begins with two BOS tokens: the server adds one, so that the template must not."""
        try:
            body = await self.post("/tokenize", {"inputs": prompt, "parameters": {"max_new_tokens": 1}})
        except (RequestRejected, Fault):
            return False
        ids = [token.id for token in tokens(body)]
        return len(ids) > 1 and ids[0] == ids[1]

    async def choices(self, prompt: str) -> Finding:
        letters = ("A", "B", "C", "D")
        sent = parameters(Ask(1), seed=None) | {"grammar": grammar(letters), "top_n_tokens": 5}
        try:
            body = await self.post("/generate", {"inputs": prompt, "parameters": sent})
        except HarnessError as error:
            return Finding(
                "warn", self.url, f"no grammars: {error}", "MMLU reads the log-probabilities instead"
            )
        answer = read_generate(body, {}, where=self.url)
        scores = read_alternatives(answer.top_tokens, letters)
        if scores is None or answer.text.strip() not in ("", *letters):
            return Finding("warn", self.url, "ignores grammars", "MMLU reads the log-probabilities instead")
        return Finding("ok", self.url, "ranks MMLU's choices with a grammar")


def _parsed(body: bytes) -> Any:
    try:
        return decode(body)
    except ValueError:
        return None
