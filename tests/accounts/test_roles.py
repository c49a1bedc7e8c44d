"""Roles, and the groups that have them."""

from __future__ import annotations

import pytest

from lorabay.accounts.roles import Role, read_role, role_of


def test_a_role_may_do_what_the_one_before_may() -> None:
    """Their names are read as they are shown."""
    assert Role.VIEWER < Role.OPERATOR < Role.OWNER
    assert [read_role(str(role)) for role in Role] == list(Role)
    with pytest.raises(ValueError, match="viewer, operator, owner"):
        read_role("root")


def test_the_greatest_role_of_all_groups_counts() -> None:
    """A group without a role gives none."""
    roles = {"staff": Role.VIEWER, "ops": Role.OPERATOR}
    assert role_of(["ops", "staff", "others"], roles) is Role.OPERATOR
    assert role_of(["others"], roles) is None
    assert role_of([], roles) is None
