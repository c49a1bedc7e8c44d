"""Errands wait for the keeper until they are answered or taken back."""

from __future__ import annotations

from functools import partial

from lorabay.accounts.agreement import errands, names
from lorabay.accounts.database.database import Database


def waiting(database: Database) -> dict[str, str]:
    view = database.read(partial(names.look, cluster="c", since=-1, with_errands=True))
    return dict(view.errands)


def test_an_errand_is_asked_answered_and_forgotten(database: Database) -> None:
    """The oldest first; an answered one waits no more."""
    ask = partial(errands.ask, cluster="c", front="b")
    database.write(partial(ask, errand="2", question="unload"))
    database.write(partial(ask, errand="1", question="pin"))
    assert list(waiting(database).items()) == [("1", "pin"), ("2", "unload")]

    database.write(partial(errands.answer, errand="1", text="done"))
    assert waiting(database) == {"2": "unload"}
    database.write(partial(errands.answer, errand="1", text="done again"))
    answer_of = partial(errands.answer_of, errand="1")
    assert database.read(answer_of) == "done"
    database.write(partial(errands.forget, errand="1"))
    assert database.read(answer_of) is None


def test_an_errand_of_another_cluster_is_not_seen(database: Database) -> None:
    """Clusters share a database, and nothing else."""
    ask = partial(errands.ask, cluster="other", front="b", errand="1", question="pin")
    database.write(ask)
    assert waiting(database) == {}
