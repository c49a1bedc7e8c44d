"""What limits apply to, and what each of them counts."""

from __future__ import annotations

from lorabay.accounts.ledger.periods import MINUTE, PRESENT
from lorabay.accounts.ledger.scopes import MEASURES, Scope, ScopeKind
from lorabay.accounts.limits import LIMIT_NAMES, Limits


def test_every_limit_is_counted() -> None:
    """None can be set that nothing keeps."""
    assert tuple(MEASURES) == LIMIT_NAMES


def test_only_what_is_limited_has_a_counter() -> None:
    """Under a name that no other scope has."""
    limits = Limits(tokens_per_minute=7, parallel=0)
    counters = dict(Scope(ScopeKind.KEY, "a", limits).counters)
    assert {name: (counter.period, counter.limit) for name, counter in counters.items()} == {
        "tokens_per_minute": (MINUTE, 7),
        "parallel": (PRESENT, 0),
    }
    names = {counter.name for kind in ScopeKind for _, counter in Scope(kind, "a", limits).counters}
    assert len(names) == 2 * len(ScopeKind)


def test_a_scope_is_told_in_words() -> None:
    """As it stands in messages."""
    assert str(Scope(ScopeKind.KEY_ON_ADAPTER, "k/finance", Limits())) == (
        "key on adapter `k/finance`"
    )
