"""The API as a web page that needs no script and no other host."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape
from typing import Any

_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "pre{background:#f4f4f4;padding:1rem;overflow:auto}summary{cursor:pointer}"
)
_REFERENCE = re.compile(r"#/components/schemas/([\w.-]+)")

Document = Mapping[str, Any]


def page_of(document: Document) -> str:
    """Return an OpenAPI document as HTML: its operations, then its schemas."""
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    operations = [
        _details(f"{method.upper()} {path}", operation.get("summary", ""), operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = [
        _details(name, "", schema, anchor=name)
        for name, schema in sorted(document.get("components", {}).get("schemas", {}).items())
    ]

    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>",
        f"<style>{_STYLE}</style><h1>{title}</h1>",
        '<p>The same as an OpenAPI document: <a href="openapi.json">openapi.json</a></p>',
        "<h2>Paths</h2>",
        *operations,
        "<h2>Schemas</h2>",
        *schemas,
    ]
    return "\n".join(parts)


def _details(name: str, summary: str, content: object, *, anchor: str = "") -> str:
    """Return a line that opens to what is behind it, as JSON."""
    identity = f' id="{escape(anchor)}"' if anchor else ""
    heading = f"<code>{escape(name)}</code> {escape(summary)}"
    return f"<details{identity}><summary>{heading}</summary><pre>{_linked(content)}</pre></details>"


def _linked(content: object) -> str:
    """Return JSON as HTML, in which each reference leads to its schema on the page."""
    text = escape(json.dumps(content, indent=2, ensure_ascii=False), quote=False)
    return _REFERENCE.sub(r'<a href="#\1">\1</a>', text)
