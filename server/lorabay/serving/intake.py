"""Takes the adapters of a directory in: each child folder is validated, stored and made the live version of its name.

A folder that is not servable is marked with its reasons and disturbs nothing else. Knows nothing of the engine.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from lorabay.catalog.discovery import Candidate, scan
from lorabay.catalog.names import AdapterName
from lorabay.catalog.registry import AdapterState
from lorabay.catalog.spec import Rejected, Version

if TYPE_CHECKING:
    from lorabay.catalog.registry import Registry
    from lorabay.catalog.store import Store
    from lorabay.catalog.validation import Checks

logger = structlog.get_logger(__name__)


def take_in(root: Path, store: Store, checks: Checks, registry: Registry) -> tuple[Version, ...]:
    """Read every adapter under `root` once; gives the versions now live. Raises SetupError when there is no `root`."""
    versions = []
    for candidate in scan(root, reserved=frozenset(checks.base.names)).values():
        name = AdapterName(candidate.name)
        result = _judge(candidate, name, store, checks)
        if isinstance(result, Rejected):
            registry.mark(name, AdapterState.REJECTED, result.reasons)
            logger.warning("adapter rejected", adapter=name, reasons=[reason.text for reason in result.reasons])
            continue
        registry.set_live(result)
        versions.append(result)
    return tuple(versions)


def _judge(candidate: Candidate, name: AdapterName, store: Store, checks: Checks) -> Version | Rejected:
    if candidate.reasons:
        return Rejected(tuple(candidate.reasons))
    return store.ingest(candidate.path, name, checks, roots=(candidate.path.parent,))
