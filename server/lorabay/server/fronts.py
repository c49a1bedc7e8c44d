"""This server among those that share its names, as the settings want it.

The libraries of databases are imported here, when names are shared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from lorabay.catalog.registry.shared_names import Flip
    from lorabay.cluster.fronts.fronts import Fronts
    from lorabay.cluster.fronts.shared_operations import SharedOperations
    from lorabay.cluster.fronts.told_answers import ToldAnswers
    from lorabay.metrics import Metrics
    from lorabay.reconcile.reconciler import Reconciler
    from lorabay.server.accounts import Accounts
    from lorabay.serving.admin import Operations
    from lorabay.serving.manager import AdapterManager
    from lorabay.settings import Settings


def choose_fronts(settings: Settings, accounts: Accounts | None, metrics: Metrics) -> Fronts | None:
    """Return this server among those of its cluster; None for one that is in none.

    Raises SetupError for a cluster without a database.
    """
    if settings.cluster is None:
        return None
    if accounts is None:
        raise SetupError(
            "--cluster needs the database that its servers share: name it with --database, "
            "such as postgresql://USER:PASSWORD@HOST/NAME"
        )
    from lorabay.cluster.fronts.fronts import Fronts
    from lorabay.cluster.fronts.unsettled import Unsettled

    fronts = Fronts(accounts.database, settings.cluster, Unsettled())
    metrics.names_age.set_function(lambda: fronts.age_s)
    metrics.keeps_names.set_function(lambda: float(fronts.keeps_names))
    return fronts


class Keeping:
    """What a server does for its adapters when it begins to keep the names, and while it rests."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    def begins(self) -> None:
        """Go on from what another server has made of the names."""
        self._reconciler.take_stock()

    async def rests(self) -> None:
        """Remove from the store what has left it."""
        await self._reconciler.tidy()


def join(
    fronts: Fronts, manager: AdapterManager, reconciler: Reconciler, operations: Operations
) -> tuple[SharedOperations, ToldAnswers]:
    """Let this server keep or follow the names of a reconciler.

    Return what makes the changes of `operations` for all servers, and the answers that it tells
    others of.
    """
    from lorabay.cluster.fronts.following import Following
    from lorabay.cluster.fronts.shared_operations import SharedOperations
    from lorabay.cluster.fronts.told_answers import ToldAnswers

    rollouts = manager.rollouts
    answers = ToldAnswers(fronts.ask)
    rollouts.share(lambda: fronts.keeps_names, answers)

    def changed(name: str, flip: Flip) -> None:
        rollouts.follow(name)
        if flip.now is not None and flip.now != flip.before:
            manager.pardon(flip.now)
        # A pin that is gone leaves room.
        manager.residency.look_for_room()

    names = reconciler.registry.shared
    fronts.unsettled.base_names = reconciler.ingest.base_names
    following = Following(names, reconciler.swaps, fronts.unsettled, changed)
    changes = SharedOperations(operations, rollouts, fronts)
    fronts.attach(names, following, changes.carry_out, Keeping(reconciler))
    return changes, answers
