"""All modules get one rank, the smallest that keeps the total error."""

from __future__ import annotations

import numpy as np
import pytest

from lorabay.algebra.approximation import Approximation, approximated
from lorabay.algebra.updates import Dense, LowRank, Update
from lorabay.reasons import Rejected


def updates(decay: float = 0.5) -> dict[str, Update]:
    """A dense update and a product, both of rank 12 with singular values that fall."""
    random = np.random.default_rng(0)

    def factors() -> tuple[np.ndarray, np.ndarray]:
        b, _ = np.linalg.qr(random.standard_normal((20, 12)))
        a, _ = np.linalg.qr(random.standard_normal((16, 12)))
        return (b * decay ** np.arange(12)).astype(np.float32), a.T.astype(np.float32)

    (b, a), (d, c) = factors(), factors()
    return {"dense": Dense(lambda: d @ c), "product": LowRank(lambda: a, lambda: b, 12, 1.0)}


def error(found: Approximation, made: dict[str, Update]) -> float:
    """Return the share of all updates that the products really lack."""
    lacking = whole = 0.0
    for name, update in made.items():
        delta = update.delta() if isinstance(update, Dense) else update.b() @ update.a()  # type: ignore[union-attr]
        product = found.products[name]
        lacking += float(((delta - product.b() @ product.a()) ** 2).sum())
        whole += float((delta**2).sum())
    return (lacking / whole) ** 0.5


@pytest.mark.parametrize("allowed", [0.5, 0.1, 0.01])
def test_the_smallest_rank_within_the_error_is_taken(allowed: float) -> None:
    """The reported error is the real one; one rank less would exceed the allowed error."""
    made = updates()
    found = approximated(made, 10, allowed)
    assert isinstance(found, Approximation)
    assert found.error <= allowed
    assert error(found, made) == pytest.approx(found.error, rel=1e-3)
    assert all(product.a().shape[0] == found.rank for product in found.products.values())
    if found.rank > 1:
        less = approximated(made, found.rank - 1, 1.0)
        assert isinstance(less, Approximation)
        assert less.error > allowed or less.rank < found.rank - 1


def test_more_error_than_allowed_is_a_reason() -> None:
    """The reason names the rank and both errors."""
    found = approximated(updates(decay=1.0), 3, 0.1)
    assert isinstance(found, Rejected)
    assert found.codes == {"approximate_error"}
    assert "rank 3" in found.reasons[0].text


def test_values_that_are_not_finite_are_a_reason() -> None:
    """The problem is a reason, not an exception out of the decomposition."""
    made = updates() | {"bad": Dense(lambda: np.full((4, 4), np.nan, np.float32))}
    found = approximated(made, 3, 0.5)
    assert isinstance(found, Rejected)
    assert found.codes == {"not_finite"}
