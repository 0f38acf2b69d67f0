"""Prompt literals kept as data: read from a mirror's JSON file, or out of a Python source by `ast`."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from harness.errors import DataError

_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPE = (*_FUNCTION, ast.ClassDef)
_Position = tuple[int, int]


def digest(value: Any) -> str:
    """Hash a literal: sha256 of its text, or of its JSON with `ensure_ascii=False` when it is no text."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def literals(path: Path) -> Mapping[str, Any]:
    """Read a file of literals by address, verifying every hash the file gives.

    Three shapes are understood: `{address: {"value", "sha256"}}`, `{address: value}`, and
    `{"strings": {address: value}, "sha256": {address: hash}}`; keys that start with `_` are notes.

    Raises:
        DataError: the file is missing or no JSON object, or a literal is not the one that was pinned.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; `harness doctor` says how to get it") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a readable JSON file, get it again: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is not a JSON object of literals")
    found: dict[str, Any] = {}
    for address, value, pinned in _entries(cast("dict[str, Any]", content)):
        if pinned is not None and digest(value) != pinned:
            raise DataError(
                f"{path}: {address} has sha256 {digest(value)}, pinned is {pinned}; get the file again"
            )
        found[address] = value
    return found


def _entries(content: Mapping[str, Any]) -> Iterator[tuple[str, Any, str | None]]:
    """Yield (address, value, pinned hash or None) whatever the shape."""
    if isinstance(content.get("strings"), dict):
        hashes = content.get("sha256", {})
        for address, value in content["strings"].items():
            yield address, value, hashes.get(address)
        return
    for address, value in content.items():
        if address.startswith("_"):
            continue
        if isinstance(value, dict) and set(cast("dict[str, Any]", value)) == {"value", "sha256"}:
            yield address, value["value"], value["sha256"]
        else:
            yield address, value, None


def write_literals(path: Path, values: Mapping[str, Any]) -> Path:
    """Write literals with their hashes, the way `literals` reads them; for a task's `prepare.py`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {address: {"value": value, "sha256": digest(value)} for address, value in values.items()}
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    return path


def checkout_literals(checkout: Path, addresses: Sequence[str], hint: str = "") -> dict[str, Any]:
    """Read literals out of one script of an AgentTuning checkout, for a task's `prepare.py`.

    Args:
        checkout: its top folder.
        addresses: full keys of one script, `owner/repo:path:ADDRESS`.
        hint: what else the user may give, for the message.

    Raises:
        DataError: the checkout does not hold the script, or the script not the literals.
    """
    script = checkout / addresses[0].split(":")[1]
    if not script.is_file():
        raise DataError(f"{script} is missing: give the top folder of an AgentTuning checkout{hint}")
    return extract_literals(script, addresses)


def extract_literals(source: str | Path, addresses: Iterable[str]) -> dict[str, Any]:
    """Read literals out of Python source without executing it.

    An address is the name of a constant (`NAME`, `Class.NAME`; an assignment to `self.NAME` counts as the
    class's) or `function#n`, the n-th string constant of a function in source order, zero-based, those of
    nested functions and classes excluded. Qualified names go as deep as needed (`Class.method.inner#3`);
    their outer parts may be left out where the rest is unique. What precedes the last `:` is ignored, so
    that a mirror's full keys (`owner/repo:path:ADDRESS`) work as they are.

    Args:
        source: the source text, or the path of a file to read.
        addresses: what to read.

    Returns:
        The values under the addresses as given.

    Raises:
        DataError: the source cannot be parsed, or an address does not name one literal in it.
    """
    where = str(source) if isinstance(source, Path) else "source"
    try:
        text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
        tree = ast.parse(text)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{where} cannot be read as Python source: {error}") from error
    return {address: _find(tree, address, where) for address in addresses}


def _find(tree: ast.Module, address: str, where: str) -> Any:
    name, numbered, number = address.rsplit(":", 1)[-1].partition("#")
    if not numbered:
        return _constant(tree, name, where)
    functions = [node for path, node in _scopes(tree) if isinstance(node, _FUNCTION) and _is_tail(name, path)]
    if len(functions) != 1:
        raise DataError(f"{where} has {len(functions)} functions named {name}, expected one")
    texts = _strings(functions[0])
    if not number.isdecimal() or int(number) >= len(texts):
        raise DataError(f"{where}: {name} has {len(texts)} string constants, there is no #{number}")
    return texts[int(number)]


def _is_tail(name: str, path: Sequence[str]) -> bool:
    parts = name.split(".")
    return list(path[-len(parts) :]) == parts


def _scopes(node: ast.AST, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], ast.AST]]:
    """Yield every class and function with its qualified name."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _SCOPE):
            inner = (*path, child.name)
            yield inner, child
            yield from _scopes(child, inner)
        else:
            yield from _scopes(child, path)


def _constant(tree: ast.Module, name: str, where: str) -> Any:
    """Evaluate the last literal assigned to a module's or class's name."""
    *outer, last = name.split(".")
    bodies: list[ast.AST] = [tree]
    if outer:
        bodies = [node for path, node in _scopes(tree) if _is_tail(".".join(outer), path)]
    values = [value for body in bodies for target, value in _assignments(_statements(body)) if target == last]
    if not values:  # only functions assign it (`self.NAME = ...`)
        values = [
            value for body in bodies for target, value in _assignments(ast.walk(body)) if target == last
        ]
    if not values:
        raise DataError(f"{where} assigns no constant {name}")
    try:
        return _fold(values[-1])
    except ValueError as error:
        raise DataError(f"{where}: {name} is not a literal ({error})") from error


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a scope runs itself, without its functions and classes."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _SCOPE):
            yield child
            yield from _statements(child)


def _assignments(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    """Yield (name, value) of assignments to names and to attributes of names."""
    for node in nodes:
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value = [node.target], node.value
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name):
                yield target.id, value
            elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                yield target.attr, value


def _fold(node: ast.expr) -> Any:
    """Evaluate a literal; also a sum of strings, which `literal_eval` refuses."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _fold(node.left), _fold(node.right)
        if isinstance(left, str) and isinstance(right, str):
            return left + right
    return ast.literal_eval(node)


def _strings(function: ast.AST) -> list[str]:
    """List a function's string constants in source order, its docstring included."""
    found: list[tuple[_Position, str]] = []
    for child in ast.iter_child_nodes(function):
        _collect(child, None, found)
    return [text for _, text in sorted(found, key=lambda item: item[0])]


def _collect(node: ast.AST, at: _Position | None, found: list[tuple[_Position, str]]) -> None:
    """Gather (position, text).

    The literal parts of an f-string all count as standing where the f-string starts, before the strings
    inside its braces: Python 3.11 reports them so, the addresses were made with it, and newer versions
    must read the same.
    """
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            found.append((at or (node.lineno, node.col_offset), node.value))
    elif isinstance(node, ast.JoinedStr):
        start = at or (node.lineno, node.col_offset)
        for part in sorted(node.values, key=lambda part: isinstance(part, ast.FormattedValue)):
            _collect(part, start, found)
    elif isinstance(node, ast.FormattedValue):
        _collect(node.value, None, found)
        if node.format_spec is not None:
            _collect(node.format_spec, at, found)
    elif not isinstance(node, _SCOPE):
        for child in ast.iter_child_nodes(node):
            _collect(child, None, found)
