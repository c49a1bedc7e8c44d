"""Which limits apply to a request."""

from __future__ import annotations

from lorabay.accounts.callers import Caller
from lorabay.accounts.ledger.rules import NO_RULES, Rules
from lorabay.accounts.ledger.scopes import ScopeKind
from lorabay.accounts.limits import Limits

SOME, OTHER = Limits(parallel=1), Limits(parallel=2)
CALLER = Caller("k1", tenant="acme", limits=SOME)


def test_every_rule_that_names_the_request_applies() -> None:
    """Of its key, its tenant, its adapter, and of both together; no other one."""
    rules = Rules(
        {
            (ScopeKind.TENANT, "acme"): OTHER,
            (ScopeKind.TENANT, "other"): OTHER,
            (ScopeKind.ADAPTER, "finance"): OTHER,
            (ScopeKind.KEY_ON_ADAPTER, "k1/finance"): OTHER,
            (ScopeKind.KEY_ON_ADAPTER, "k2/finance"): OTHER,
        }
    )
    scopes = rules.scopes_of(CALLER, "finance")
    assert [(scope.kind, scope.name) for scope in scopes] == [
        (ScopeKind.KEY, "k1"),
        (ScopeKind.TENANT, "acme"),
        (ScopeKind.ADAPTER, "finance"),
        (ScopeKind.KEY_ON_ADAPTER, "k1/finance"),
    ]
    assert scopes == rules.scopes_of(CALLER, "finance")


def test_without_rules_only_the_key_counts() -> None:
    """And without limits of its own nothing does."""
    assert [scope.limits for scope in NO_RULES.scopes_of(CALLER, "finance")] == [SOME]
    assert NO_RULES.scopes_of(Caller("k2"), "finance") == ()
