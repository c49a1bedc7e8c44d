"""An adapter's defaults as JSON: how they are hashed, stored, and shown.

What an adapter leaves open is left out, so that a field of a later version changes no digest of
today. Knows nothing of files.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from lorabay.catalog.adapter_defaults import AdapterDefaults, Choice
from lorabay.catalog.versions import DIGEST_PREFIX
from lorabay.rollout.policy import read_policy

if TYPE_CHECKING:
    from collections.abc import Mapping


def as_json(defaults: AdapterDefaults) -> dict[str, Any]:
    """Return what the defaults say, as JSON values; an empty object if that is nothing."""
    system_prompt = defaults.system_prompt
    fields = {
        "chat_template": defaults.chat_template,
        "end_tokens": list(defaults.end_tokens),
        "system_prompt": None if system_prompt is None else _choice_as_json(system_prompt),
        "sampling": {name: _choice_as_json(choice) for name, choice in defaults.sampling},
        "description": defaults.description,
        "tags": list(defaults.tags),
        "rollout": None if defaults.rollout is None else defaults.rollout.as_json(),
    }
    return {name: value for name, value in fields.items() if value not in (None, [], {})}


def from_json(fields: Mapping[str, Any]) -> AdapterDefaults:
    """Return the defaults that `as_json` wrote.

    Raises KeyError, TypeError or ValueError for another form.
    """
    system_prompt = fields.get("system_prompt")
    sampling = fields.get("sampling", {})
    rollout = fields.get("rollout")
    return AdapterDefaults(
        chat_template=fields.get("chat_template"),
        end_tokens=tuple(fields.get("end_tokens", ())),
        system_prompt=None if system_prompt is None else _choice(system_prompt),
        sampling=tuple((name, _choice(sampling[name])) for name in sorted(sampling)),
        description=fields.get("description"),
        tags=tuple(fields.get("tags", ())),
        rollout=None if rollout is None else read_policy(rollout),
    )


def in_brief(defaults: AdapterDefaults) -> dict[str, Any]:
    """Return what the defaults say, for a list of many: a template is told by size and sha256."""
    fields = as_json(defaults)
    template = defaults.chat_template
    if template is not None:
        digest = hashlib.sha256(template.encode()).hexdigest()
        fields["chat_template"] = {"characters": len(template), "sha256": digest[:DIGEST_PREFIX]}
    return fields


def _choice_as_json(choice: Choice) -> dict[str, Any]:
    value = choice.value
    shown = list(value) if isinstance(value, tuple) else value
    return {"value": shown, "enforced": choice.is_enforced}


def _choice(fields: Mapping[str, Any]) -> Choice:
    # JSON has no tuples: it turned one into a list.
    value = fields["value"]
    return Choice(tuple(value) if isinstance(value, list) else value, fields["enforced"])
