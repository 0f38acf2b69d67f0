"""Checks bodies against the schemas of TGI's own OpenAPI document."""

from __future__ import annotations

from typing import Any

import jsonschema


def check(openapi: Any, name: str, value: Any) -> None:
    """Validate against one schema of TGI's OpenAPI (3.0: `nullable`, and integers written as defaults)."""

    def modern(node: Any) -> Any:
        if isinstance(node, list):
            return [modern(item) for item in node]
        if not isinstance(node, dict):
            return node
        out = {
            key: modern(item) for key, item in node.items() if key not in ("default", "nullable", "example")
        }
        if node.get("nullable"):
            return {"anyOf": [out, {"type": "null"}]}
        return out

    schema = {"$ref": f"#/components/schemas/{name}", "components": modern(openapi["components"])}
    jsonschema.Draft202012Validator(schema).validate(value)
