"""What a router's figures mean for a caller."""

from __future__ import annotations

from lorabay.routing.choice import Choice, Why, choose

SURE = {"base": 0.05, "finance": 0.9, "shop": 0.05}
UNSURE = {"base": 0.55, "finance": 0.25, "shop": 0.2}
TORN = {"base": 0.3, "finance": 0.4, "shop": 0.3}
BOTH = frozenset({"finance", "shop"})


def test_the_likeliest_domain_is_chosen() -> None:
    """And the header says why, and how sure the router is."""
    choice = choose(SURE, BOTH, may_use_base=True, threshold=0.5)
    assert choice == Choice("finance", Why.DOMAIN, 0.9)
    assert choice is not None
    assert choice.header == "finance;why=domain;p=0.90"


def test_a_question_of_two_domains_goes_to_the_likelier() -> None:
    """It is of a domain, though of none with certainty."""
    choice = choose(TORN, BOTH, may_use_base=True, threshold=0.5)
    assert choice == Choice("finance", Why.DOMAIN, 0.4)


def test_what_fits_nothing_clearly_goes_to_the_base() -> None:
    """An unsure router, a general question, and a router of names that nobody serves."""
    general = {"base": 0.8, "finance": 0.1, "shop": 0.1}
    for likely, allowed in ((UNSURE, BOTH), (general, BOTH), (SURE, frozenset({"shop"}))):
        choice = choose(likely, allowed, may_use_base=True, threshold=0.5)
        assert choice == Choice(None, Why.NO_DOMAIN)
        assert choice is not None
        assert choice.header == "base;why=no-domain"


def test_what_may_not_be_used_looks_like_what_does_not_fit() -> None:
    """The header does not tell whose question it would have been."""
    foreign = choose(SURE, frozenset({"shop"}), may_use_base=True, threshold=0.5)
    general = choose(
        {"base": 1.0, "finance": 0.0, "shop": 0.0}, BOTH, may_use_base=True, threshold=0.5
    )
    assert foreign == general


def test_without_the_base_the_nearest_of_the_usable_answers() -> None:
    """There is nothing else that may; and without any there is nothing."""
    choice = choose(SURE, frozenset({"shop"}), may_use_base=False, threshold=0.5)
    assert choice is not None
    assert choice.header == "shop;why=only;p=0.05"
    assert choose(SURE, frozenset({"legal"}), may_use_base=False, threshold=0.5) is None
