"""The settings of the program as the chart's schema has them.

`python -m tests.docs.blocks` writes them into `values.schema.json`. So Helm refuses a name that is
not a setting, and a value of the wrong type, before a pod is there to refuse it.
"""

from __future__ import annotations

import json
from typing import Any

from lorabay.settings import Settings
from tests.docs.pages import ROOT

SCHEMA = ROOT / "deploy" / "helm" / "lorabay" / "values.schema.json"

ELSEWHERE = frozenset(
    {
        "adapters",
        "admin_key_file",
        "api_key_file",
        "base",
        "grace_s",
        "host",
        "port",
        "store",
    }
)
"""Settings that the chart gives the server, from values of its own or from the image."""

KEPT = ("type", "items", "anyOf", "enum", "additionalProperties")
BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


def described() -> dict[str, Any]:
    """Return name to schema of each setting that an operator may write into `settings`."""
    declared: dict[str, Any] = Settings.model_json_schema()["properties"]
    return {
        name: _plain(schema)
        for name, schema in sorted(declared.items())
        if name not in ELSEWHERE and not _is_secret(schema)
    }


def _is_secret(schema: dict[str, Any]) -> bool:
    """Return whether a value must come from a Secret: keys, and URLs that may hold a password."""
    return "password" in json.dumps(schema)


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a schema that Helm's reader of schemas knows, without descriptions."""
    kept = {key: schema[key] for key in (*KEPT, *BOUNDS) if key in schema}
    if "anyOf" in kept:
        kept["anyOf"] = [_plain(one) for one in kept["anyOf"]]
    return kept


def renewed(text: str) -> str:
    """Return the chart's schema with the settings as the program has them."""
    schema = json.loads(text)
    schema["properties"]["settings"]["properties"] = described()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write() -> None:
    """Write the chart's schema anew."""
    SCHEMA.write_text(renewed(SCHEMA.read_text(encoding="utf-8")), encoding="utf-8")
