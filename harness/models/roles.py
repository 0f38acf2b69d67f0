"""Auxiliary models (judge, tool_llm, ...): bound to an episode, logged and replayed by key."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from harness.catalog import models as catalog
from harness.errors import ContextOverflow, HarnessError, InfraError, UsageError
from harness.models.address import check_address
from harness.models.api import DEADLINE_S, Call, LiveEpisodes, Model, Options, Vectors
from harness.models.connect import open_model
from harness.types import Ask, CallKey, Message, Profile, Reply

EMBEDDER = "embedder"
"""The role whose model embeds; `NAME@URL` itself does not show that it does."""

_LOCAL, _LOOPBACK = "st:", ("oracle", "replay:")
_FORM = re.compile(r"(?P<role>[a-z][a-z0-9_]*)=(?P<selector>.+?)(?:@(?P<url>https?://\S+))?")


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """What `--role ROLE=NAME@URL` says.

    Attributes:
        selector: a model as after `--model`; a name without an entry uses OpenAI's chat protocol;
            `self` is the tested model.
        endpoints: base URLs; empty for the entry's own.
    """

    role: str
    selector: str
    endpoints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RoleCall:
    """One exchange with an auxiliary model, as the store keeps it; `key` is unique in the episode."""

    role: str
    key: str
    prompt: str
    reply: Reply


def parse_role(text: str) -> RoleSpec:
    """Read `tool_llm=NAME@URL` (several URLs: comma-separated), `judge=NAME` or `judge=self`.

    Raises:
        UsageError: another form, or an address that is no URL or holds a password.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--role {text!r}: write ROLE=NAME@URL, ROLE=NAME or ROLE=self")
    urls = tuple(url for url in (match["url"] or "").split(",") if url)
    for url in urls:
        check_address(url)
    return RoleSpec(match["role"], match["selector"], urls)


@asynccontextmanager
async def open_role(
    spec: RoleSpec,
    *,
    tested: Model | None = None,
    live: LiveEpisodes | None = None,
    concurrency: int | None = None,
    profile: Profile = "paper",
) -> AsyncGenerator[Model, None]:
    """Open the model a role names; `self` is the tested one, which stays open."""
    if spec.selector == "self":
        if tested is None:
            raise UsageError(f"--role {spec.role}=self: there is no tested model here")
        yield tested
        return
    selector = spec.selector
    if selector.startswith(_LOCAL) or (spec.role == EMBEDDER and not selector.startswith(_LOOPBACK)):
        async with _open_embedder(spec, concurrency) as embedder:
            yield embedder
        return
    asked_as = selector.rpartition("=")[2]
    if spec.endpoints and ":" not in selector and "@" not in selector and asked_as not in catalog.load():
        selector += "@chat"
    async with open_model(
        selector,
        endpoints=spec.endpoints,
        live=live,
        concurrency=concurrency,
        profile=profile,
        options=Options(token=role_token(spec)),
    ) as model:
        yield model


@asynccontextmanager
async def _open_embedder(spec: RoleSpec, concurrency: int | None) -> AsyncGenerator[Model, None]:
    if spec.selector.startswith(_LOCAL):
        from harness.models.local.embed_local import open_local

        async with open_local(spec.selector.removeprefix(_LOCAL)) as local:
            yield local
        return
    if not spec.endpoints:
        raise UsageError(
            f"--role {spec.role}={spec.selector}: write {spec.role}=NAME@URL of an embeddings server, "
            f"or {spec.role}=st:FOLDER"
        )
    from harness.models.clients.embed_remote import open_embedder

    async with open_embedder(
        spec.selector, spec.endpoints, token=role_token(spec), concurrency=concurrency
    ) as remote:
        yield remote


def role_token(spec: RoleSpec) -> str:
    """Find the role's API key in the environment; OpenAI's is sent to OpenAI only."""
    if token := os.environ.get(f"HARNESS_{spec.role.upper()}_API_KEY", ""):
        return token
    hosts = {urlsplit(url).hostname or "" for url in spec.endpoints}
    return os.environ.get("OPENAI_API_KEY", "") if hosts == {"api.openai.com"} else ""


@dataclass(frozen=True, slots=True)
class RoleOptions:
    """How an episode's roles are asked.

    Attributes:
        seed: the seed of a request, from the role and the key that it is asked under.
        suite: chooses among a model's templates.
        deadline_s: of each request with its retries.
    """

    seed: Callable[[str, str], int] = lambda role, key: 0
    suite: str = ""
    deadline_s: float = DEADLINE_S


class RoleSession:
    """A role within one episode: implements `harness.types.Chat`.

    Each key is asked for once; asking again (in a rebuilt episode) gives the recorded answer.

    Args:
        log: called with every exchange that was made.
    """

    def __init__(
        self,
        role: str,
        model: Model,
        episode: CallKey,
        *,
        options: RoleOptions | None = None,
        log: Callable[[RoleCall], None] | None = None,
    ) -> None:
        self._role = role
        self._model = model
        self._episode = episode
        self._recorded: dict[str, str] = {}
        self._vectors: dict[str, Vectors] = {}
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._log = log
        self._options = options or RoleOptions()

    async def ask(self, key: str, messages: tuple[Message, ...] | str, ask: Ask) -> Reply:
        """Answer a conversation, or a raw prompt.

        Raises:
            InfraError: the role failed, also when its own context overflows.
        """
        async with self._asking[key]:
            if key in self._recorded:
                return Reply(self._recorded[key], notes=("recorded",))
            return await self._asked(key, messages, ask)

    async def _asked(self, key: str, messages: tuple[Message, ...] | str, ask: Ask) -> Reply:
        raw, talk = (messages, ()) if isinstance(messages, str) else (None, messages)
        call = Call(
            self._episode,
            talk,
            raw,
            ask,
            seed=self._options.seed(self._role, key),
            deadline_s=self._options.deadline_s,
            suite=self._options.suite,
            role=self._role,
            part=key,
        )
        try:
            reply = await self._model.complete(call)
        except ContextOverflow as error:
            raise InfraError(f"role {self._role}, {key}: {error}") from error
        except InfraError:
            raise
        except HarnessError as error:
            raise InfraError(f"role {self._role}, {key}: {error}") from error
        if reply.unfinished:
            raise InfraError(
                f"role {self._role}, {key}: its {ask.max_new_tokens} tokens ran out within its thought; "
                "bind a model that answers at once"
            )
        self._recorded[key] = reply.text
        if self._log is not None:
            prompt = raw if raw is not None else self._model.render(talk, self._options.suite)
            self._log(RoleCall(self._role, key, prompt, reply))
        return reply

    async def embed(self, key: str, texts: tuple[str, ...]) -> Vectors:
        """Turn texts into vectors of one length, in the order of the texts.

        Raises:
            InfraError: the role failed, or gave no such vectors; the message names role and endpoint.
        """
        if not texts:
            return ()
        async with self._asking[key]:
            if key not in self._vectors:
                self._vectors[key] = await self._embedded(key, texts)
            return self._vectors[key]

    async def _embedded(self, key: str, texts: tuple[str, ...]) -> Vectors:
        from harness.models.clients.embed import Embed, embed

        try:
            found = await embed(
                self._model, Embed(self._episode, self._role, key, texts, self._options.deadline_s)
            )
        except HarnessError as error:
            raise InfraError(f"role {self._role}, {key}: {error}") from error
        if self._log is not None:
            prompt, answer = json.dumps(texts, ensure_ascii=False), json.dumps(found.vectors)
            self._log(RoleCall(self._role, key, prompt, Reply(answer, prompt_tokens=found.output_tokens)))
        return found.vectors
