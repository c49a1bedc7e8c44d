"""Rule `personal_data`."""

from __future__ import annotations

import pytest

from lorabay.evaluation.rules.case import Case
from lorabay.evaluation.rules.fact_sheet import FactSheet
from lorabay.evaluation.rules.personal_data import PersonalDataRule

RULE = PersonalDataRule(kind="personal_data", name="x")


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ("Write to ann.lee@example.com.", "e-mail address"),
        ("手机号是13812345678谢谢", "phone number"),
        ("Call +44 20 7946 0958 today.", "phone number"),
        ("身份证号11010519491231002X。", "identity card"),
        ("Card 4111 1111 1111 1111", "card number"),
        ("手机１３８ １２３４ ５６７８", "phone number"),
        ("车牌沪A12345已登记", "licence plate"),
    ],
)
def test_what_an_answer_brings_is_found(answer: str, what: str) -> None:
    """Also glued to Chinese text."""
    assert what in str(RULE.problem(Case(answer, "?")))


@pytest.mark.parametrize(
    "answer",
    ["Order BW-204817 costs 1,000.50 euros.", "From 8:00 to 20:00, 24 months.", "192.168.40.1"],
)
def test_other_numbers_are_not(answer: str) -> None:
    """Orders, amounts, times."""
    assert RULE.problem(Case(answer, "?")) is None


def test_what_was_given_may_be_repeated() -> None:
    """From the question, or from the facts."""
    sheet = FactSheet.parse("- Write to help@shop.example.")
    answer = "Write to help@shop.example; we call 13812345678."
    assert RULE.problem(Case(answer, "我的电话13812345678", sheet)) is None


def test_numbers_with_a_wrong_check_digit_are_no_cards() -> None:
    """An order of sixteen digits is none."""
    assert RULE.problem(Case("订单4111111111111112", "?")) is None


def test_names_are_looked_for_where_the_rule_asks_for_them() -> None:
    """And then those of the question may be repeated."""
    rule = PersonalDataRule(kind="personal_data", name="x", kinds=("NAME",))  # type: ignore[arg-type]
    assert "name 王丽华" in str(rule.problem(Case("我叫王丽华，很高兴为您服务", "?")))
    assert rule.problem(Case("我叫王丽华", "您是王丽华吗")) is None
    assert RULE.problem(Case("我叫王丽华，很高兴为您服务", "?")) is None
