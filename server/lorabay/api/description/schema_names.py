"""Names of schemas in the OpenAPI document, which programs that make clients give to classes.

Knows nothing of what is described.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

Document = dict[str, Any]


def share_body(operation: Document, schemas: Document) -> None:
    """Move the body of an operation to the shared schemas, under its title; if it has a body.

    Where it stands in an operation, a class would be named after that, too.
    """
    body: Mapping[str, Any] = operation.get("requestBody", {"content": {}})
    for content in body["content"].values():
        schema = content["schema"]
        name = schema.get("title")
        if name is not None:
            schemas[name] = schema
            content["schema"] = {"$ref": f"#/components/schemas/{name}"}


def drop_shared_titles(schemas: Document) -> None:
    """Take away titles that several schemas have: their own names tell them apart."""
    titles = Counter(schema.get("title") for schema in schemas.values())
    for name, schema in schemas.items():
        if titles[schema.get("title")] > 1:
            # A copy: some are shared by all documents.
            schemas[name] = {key: value for key, value in schema.items() if key != "title"}
