"""The page of the HTTP API, from its own description."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpo.core.run_config import RunConfig
from hpo.driver.storage import storage
from hpo.serve.app import application
from hpo.serve.settings import Settings
from hpo.serve.views import study_views
from tests.reference.markdown import cell, code, mark, table

BEGIN = """# HTTP API

What programs may ask `hpo serve`, for looking up. The server documents the same at `/hpo/docs`, and
`/hpo/openapi.json` is the machine-readable form. With a token, requests have the header `Authorization: Bearer
TOKEN`; requests that change something need one. Problems are answered as `application/problem+json` with `type`,
`title`, `status` and `detail`. [Reports and pages](../pages.md) says how to start the server.
"""


def http_api() -> str:
    """Returns the page."""
    with tempfile.TemporaryDirectory() as folder:
        config = RunConfig(storage=f"sqlite:///{Path(folder) / 'hpo.db'}", outputs=Path(folder))
        with storage(config.storage, create=True, writes=True):
            pass  # an empty one
        with study_views(config) as views:
            described = application(views, Settings(), config).openapi()
    return "\n".join([mark(), BEGIN, *_operations(described)]).rstrip() + "\n"


def _operations(described: dict[str, Any]) -> Iterator[str]:
    for path, methods in described["paths"].items():
        for method, one in methods.items():
            yield f"## {method.upper()} {path}\n"
            yield f"{' '.join(one.get('description', one.get('summary', '')).split())}\n"
            if found := one.get("parameters"):
                rows = ((code(p["name"]), p["in"], _kind(p["schema"]), cell(p.get("description", ""))) for p in found)
                yield from table(("parameter", "in", "type", "what it is"), rows)
            content = one.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            if content:
                yield from _body(described, content)


def _body(described: dict[str, Any], part: dict[str, Any]) -> Iterator[str]:
    found = described["components"]["schemas"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part
    rows = (
        (code(name), _kind(one), cell(one.get("description", ""))) for name, one in found.get("properties", {}).items()
    )
    yield "The body is a JSON object:\n"
    yield from table(("key", "type", "what it is"), rows)


def _kind(part: dict[str, Any]) -> str:
    if "anyOf" in part:
        return " or ".join(_kind(one) for one in part["anyOf"] if one.get("type") != "null")
    if "enum" in part:
        return " or ".join(code(str(one)) for one in part["enum"])
    return str(part.get("type", "object"))
