"""Agent-H style: items that need a plain answer, and how often the reply is an agent's instead."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from harness.authoring import SingleTurn
from harness.types import Ask, Context, Observation, Reply, Row, Sample, Score, TaskConfig, TaskSpec, option
from tasks.agent_h import score
from tasks.agent_h.action import KEYWORDS, Keywords, anywhere, keywords, meant
from tasks.agent_h.rows import rows

MAX_NEW_TOKENS = 512


@dataclass(frozen=True, slots=True)
class AgentHOptions:
    """How keywords are compared."""

    case: str = option("sensitive", help="whether a keyword's case matters", choices=("sensitive", "ignored"))


@dataclass(frozen=True, slots=True)
class AgentHShared:
    """The keywords, and whose rule gives the value."""

    words: Keywords
    profile: str


class AgentH(SingleTurn):
    """Hallucinated agent talk where a plain answer is wanted."""

    spec = TaskSpec(
        name="agent_h",
        version=1,
        suite="held-out",
        metric=score.METRIC,
        headline=score.h_score,
        ceiling={
            (profile, source): 100.0 for profile in ("paper", "fixed") for source in ("mirror", "fixture")
        },
        paper_n=1845,
        shares=("h_*", "empty_rate"),
    )
    Options = AgentHOptions
    comparable = "the items and keyword lists of the published Agent-H are not known"

    def samples(self, cfg: TaskConfig) -> Sequence[Sample]:
        return [
            Sample(row.id, {"row": row}, labels={"level": row.level, "circumstance": row.circumstance})
            for row in rows(cfg.data)
        ]

    def asked(self, sample: Sample) -> str:
        return "\n".join(one.content for one in sample.data["row"].messages if one.role == "user")

    def shared(self, ctx: Context) -> AgentHShared:
        return AgentHShared(keywords(ignore_case=ctx.options.case == "ignored"), ctx.profile)

    def fingerprint(self, shared: AgentHShared) -> Mapping[str, str]:
        digest = hashlib.sha256(KEYWORDS.read_bytes()).hexdigest()
        return {"keywords": f"version {shared.words.version}, sha256 {digest}"}

    def question(self, sample: Sample, shared: AgentHShared) -> Observation:
        return Observation(sample.data["row"].messages, Ask(MAX_NEW_TOKENS))

    async def value(self, sample: Sample, reply: Reply, shared: AgentHShared) -> Score:
        row = sample.data["row"]
        if not reply.text.strip():
            return Score(
                0.0, {score.EMPTY: 1.0}, note="an empty reply is not in the score", target=row.answer
            )
        found = {
            "paper": anywhere(reply.text, shared.words),
            "fixed": meant(reply.text, shared.words, row.tools),
        }
        signs = found[shared.profile]
        metrics = {rule: score.value(one) for rule, one in found.items()}
        metrics |= {"h_react": float(signs.react), "h_general": float(signs.general), score.EMPTY: 0.0}
        shown = ", ".join(chain(["ReAct"] * signs.react, ["announces a call"] * signs.general))
        return Score(metrics[shared.profile], metrics, answer=shown or "plain", target=row.answer)

    def gold(self, sample: Sample, asked: Observation) -> str:
        return sample.data["row"].answer

    def aggregate(self, rows: Sequence[Row]) -> Mapping[str, float]:
        return score.aggregate(rows)


TASK = AgentH()
