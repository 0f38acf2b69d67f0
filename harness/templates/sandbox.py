"""Compiles and renders Jinja as transformers does for chat templates, in a sandbox and within bounds."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from harness.errors import DataError
from harness.templates import bounds
from harness.templates.roles import ConversationError

SOURCE_CHARS = 1 << 20
"""Longest template that is compiled; those of public checkpoints have some 20,000 characters at most."""

PROMPT_CHARS = 1 << 26
"""Longest prompt that a template may write."""

ROUNDS = 1_000_000
"""How often all loops of a template together may go round for one prompt; a message needs a few."""

TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""Special tokens under the names that templates read them by."""

_ROUNDS, _TICK, _COUNTED, _JOINED = "__rounds__", "__tick__", "__counted__", "__joined__"


def render(source: str, values: Mapping[str, Any], *, tokens_known: bool = True) -> str:
    """Render a template.

    Args:
        source: the Jinja text.
        values: what it may read.
        tokens_known: a special token that `values` lack is one that the model has not, and empty. Otherwise
            writing one is an error, except for the BOS token, which the server adds.

    Raises:
        ConversationError: the template itself refuses, or needs too many rounds, characters or long texts.
        Exception: Jinja's own errors, and whatever a template's expressions raise.
    """
    template = _compile(source, tokens_known=tokens_known)
    begun = bounds.begin()
    try:
        # What `Template.generate` does, without its generator around the template's own.
        return _joined(template.root_render_func(template.new_context({**values, _ROUNDS: _counter()})))
    finally:
        bounds.end(begun)


def _joined(parts: Iterator[str]) -> str:
    """Join what a template writes; thousands of parts are taken at a time, as each has a few characters."""
    taken: list[str] = []
    written = 0
    while some := list(itertools.islice(parts, 4096)):
        written += sum(map(len, some))
        if written > PROMPT_CHARS:
            raise ConversationError(f"the template writes over {PROMPT_CHARS:,} characters")
        taken += some
    return "".join(taken)


def _counter() -> Callable[[int], None]:
    """A function that raises when it was told of more than ROUNDS rounds."""
    gone = 0

    def count(rounds: int) -> None:
        nonlocal gone
        gone += rounds
        if gone > ROUNDS:
            raise ConversationError(f"the template's loops go round more than {ROUNDS:,} times")

    return count


def _refuse(message: str) -> None:
    raise ConversationError(message)


def _today(form: str) -> str:
    return datetime.now().strftime(form)  # noqa: DTZ005 - local time, as transformers has it


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as it is; Jinja's own filter escapes it for HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


@lru_cache(maxsize=64)
def _compile(source: str, *, tokens_known: bool) -> Any:
    if len(source) > SOURCE_CHARS:
        raise DataError(f"a chat template of {len(source):,} characters is too long to be one; correct it")
    compiled = _environment(tokens_known=tokens_known).from_string(source)
    compiled.globals = dict(compiled.globals)  # Jinja's chain of maps is copied with every rendering, slowly
    return compiled


def _generation() -> Any:
    """The Jinja extension for `{% generation %}`, which marks what a model said."""
    from jinja2 import nodes
    from jinja2.ext import Extension
    from jinja2.parser import Parser

    class Generation(Extension):
        """Shows the body; what it sets is gone after it."""

        tags = {"generation"}  # noqa: RUF012 - Jinja declares it so

        def parse(self, parser: Parser) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.CallBlock(self.call_method("shown"), [], [], body).set_lineno(line)

        def shown(self, caller: Callable[[], str]) -> str:
            return caller()

    return Generation


def _sandbox() -> Any:
    """Jinja's sandbox, within bounds."""
    from jinja2 import nodes
    from jinja2.runtime import Context
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.visitor import NodeTransformer

    class Counting(NodeTransformer):
        """Has loops and `~` counted, by filters: unlike calls they are not checked each time."""

        def visit_For(self, loop: nodes.For) -> nodes.For:
            self.generic_visit(loop)
            if loop.recursive:  # what it calls itself with is not seen before
                tick = nodes.Filter(nodes.Const(None), _TICK, [], [], None, None)
                loop.body.insert(0, nodes.ExprStmt(tick).set_lineno(loop.lineno))
            else:
                loop.iter = nodes.Filter(loop.iter, _COUNTED, [], [], None, None)
            return loop

        def visit_Concat(self, added: nodes.Concat) -> nodes.Filter:
            self.generic_visit(added)
            whole: Any = nodes.Filter(nodes.List(added.nodes), _JOINED, [], [], None, None)
            return whole.set_lineno(added.lineno)

    class Bounded(ImmutableSandboxedEnvironment):
        """Counts the rounds of every loop, and what operators, blocks and macros make."""

        intercepted_binops = bounds.OPERATORS
        concat = staticmethod(bounds.join)

        def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
            bounds.operate(operator, left, right)
            return self.binop_table[operator](left, right)

        def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
            bounds.call(__obj, args)
            return super().call(__context, __obj, *args, **kwargs)

        def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
            return Counting().visit(super()._parse(source, name, filename))

    return Bounded


@lru_cache(maxsize=2)
def _environment(*, tokens_known: bool) -> Any:
    from jinja2 import Undefined, pass_context
    from jinja2.ext import loopcontrols
    from jinja2.runtime import Context

    class UnknownToken(Undefined):
        def __str__(self) -> str:
            if self._undefined_name in TOKENS and self._undefined_name != "bos_token":
                self._fail_with_undefined_error()
            return super().__str__()

    environment: Any = _sandbox()(
        undefined=Undefined if tokens_known else UnknownToken,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[loopcontrols, _generation()],
    )

    @pass_context
    def tick(context: Context, value: None) -> None:
        context.parent[_ROUNDS](1)

    @pass_context
    def counted(context: Context, values: Iterable[Any]) -> Sequence[Any]:
        known = values if isinstance(values, list | tuple | str) else list(values)
        context.parent[_ROUNDS](len(known))
        return known

    environment.filters |= {"tojson": _to_json, _TICK: tick, _COUNTED: counted, _JOINED: bounds.concatenate}
    for name, counting in (("replace", bounds.counting_replace), ("join", bounds.counting_join)):
        environment.filters[name] = counting(environment.filters[name])
    environment.globals |= {"raise_exception": _refuse, "strftime_now": _today}
    return environment
