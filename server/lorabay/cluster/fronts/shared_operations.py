"""The changes that an administrator may ask for on a server that shares its names.

The one that keeps the names makes the changes; any other has it make them, and answers when it
knows of them as well. What an adapter looks like, and where its weights are, each tells of itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from lorabay.catalog.versions import Version
from lorabay.cluster.fronts.errands import Errand
from lorabay.cluster.fronts.told_answers import COUNT, take_in
from lorabay.errors import AdapterConflict, StorageUnavailable
from lorabay.rollout.policy import Policy, read_policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.reconcile.events import Actor
    from lorabay.serving.admin import Operations
    from lorabay.serving.rollouts import Rollouts

CHANGES = frozenset(
    {
        "added",
        "delete",
        "load",
        "promote_rollout",
        "rescan",
        "roll_back",
        "set_pinned",
        "start_rollout",
        "stop_rollout",
        "unload",
    }
)
"""The operations that change what names mean to every server."""


class Office(Protocol):
    """Who keeps the names; `Fronts` in a server."""

    @property
    def keeps_names(self) -> bool:
        """True while it is this server."""
        ...

    async def ask(self, errand: Errand) -> Any:
        """Have the keeper do what is wanted; return the result once this server knows of it."""
        ...

    async def agreed(self) -> int:
        """Wait until all servers know what this one has changed."""
        ...


class SharedOperations:
    """What `Operations` change, on one of several servers; `rollouts` are this one's.

    Raises what `Operations` raises, and StorageUnavailable while nobody keeps the names.
    """

    def __init__(self, operations: Operations, rollouts: Rollouts, office: Office) -> None:
        self._operations = operations
        self._rollouts = rollouts
        self._office = office

    async def carry_out(self, method: str, arguments: Mapping[str, Any], who: Actor) -> Any:
        """Make a change here, for whichever server wants it; return JSON values."""
        if method == COUNT:
            return take_in(self._rollouts, arguments["answers"], arguments.get("refused", ()))

        if method not in CHANGES:
            raise AdapterConflict(f"the server that keeps the names does not know {method[:40]!r}")
        wishes = dict(arguments)
        if "policy" in wishes:
            wishes["policy"] = read_policy(wishes["policy"])
        result = await getattr(self._operations, method)(**wishes, who=who)
        if method == "rescan":
            return None  # each server describes its own
        return result.digest if isinstance(result, Version) else result

    async def _change(self, method: str, who: Actor, **arguments: Any) -> Any:
        """Have a change made by whoever keeps the names; return once all servers know of it."""
        if not self._office.keeps_names:
            return await self._office.ask(Errand(method, arguments, who))
        result = await self.carry_out(method, arguments, who)
        await self._office.agreed()
        if not self._office.keeps_names:
            raise StorageUnavailable(
                "the database of names went away meanwhile: look at the adapter, and try again"
            )
        return result

    async def rescan(self, who: Actor) -> list[dict[str, Any]]:
        """Have the directory looked at; see `Operations.rescan`."""
        await self._change("rescan", who)
        return self._operations.adapters()

    async def set_pinned(self, name: str, pinned: bool, who: Actor) -> dict[str, Any]:
        """Keep an adapter in the engines; see `Operations.set_pinned`."""
        left: dict[str, Any] = await self._change("set_pinned", who, name=name, pinned=pinned)
        return self._operations.adapter(name) if left else {}

    async def roll_back(
        self, name: str, digest_prefix: str | None, who: Actor, *, seen: str | None = None
    ) -> dict[str, Any]:
        """Make a kept version live again; see `Operations.roll_back`."""
        if seen is None:
            # Done twice by two keepers, it would be undone by the second.
            seen = self._operations.version(name).id
        await self._change("roll_back", who, name=name, digest_prefix=digest_prefix, seen=seen)
        return self._operations.adapter(name)

    async def start_rollout(
        self,
        name: str,
        digest_prefix: str | None,
        policy: Policy,
        who: Actor,
        *,
        seen: str | None = None,
    ) -> dict[str, Any]:
        """Answer a part of the clients with another version; see `Operations.start_rollout`."""
        report: dict[str, Any] = await self._change(
            "start_rollout",
            who,
            name=name,
            digest_prefix=digest_prefix,
            policy=policy.as_json(),
            seen=seen,
        )
        return report

    async def promote_rollout(self, name: str, who: Actor) -> dict[str, Any]:
        """Make a canary the live version; see `Operations.promote_rollout`."""
        report: dict[str, Any] = await self._change("promote_rollout", who, name=name)
        return report

    async def stop_rollout(self, name: str, who: Actor) -> dict[str, Any]:
        """End a rollout; see `Operations.stop_rollout`."""
        report: dict[str, Any] = await self._change("stop_rollout", who, name=name)
        return report

    async def unload(self, name: str, who: Actor) -> None:
        """Take an adapter away; see `Operations.unload`."""
        await self._change("unload", who, name=name)

    async def load(self, name: str, path: str, *, replace: bool, who: Actor) -> Version:
        """Serve the adapter in a folder; see `Operations.load`."""
        digest = await self._change("load", who, name=name, path=path, replace=replace)
        return self._operations.version(name, digest)

    async def added(self, name: str, version: str, who: Actor) -> str:
        """Serve what was put into the adapter directory; see `Operations.added`."""
        return str(await self._change("added", who, name=name, version=version))

    async def delete(self, digest: str, who: Actor) -> None:
        """Drop a kept version; see `Operations.delete`."""
        await self._change("delete", who, digest=digest)
