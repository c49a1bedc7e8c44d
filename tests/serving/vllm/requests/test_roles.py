"""Roles that a chat template names, and those that it does not."""

from __future__ import annotations

from typing import Any

import pytest

from lorabay.errors import InvalidRequest
from lorabay.serving.vllm.requests.roles import ROLES, check_roles

TEMPLATE = """{% for message in messages %}
{% if message['role'] == 'ipython' or message['role'] == "context" %}>{{ '' }}{% endif %}
{{ message['role'] }}{% endfor %}"""


def messages(*roles: str) -> list[dict[str, Any]]:
    return [{"role": role, "content": "Hello"} for role in roles]


def test_the_usual_roles_need_no_template() -> None:
    """Nothing is looked up for them."""
    check_roles(messages(*ROLES), lambda: pytest.fail("the template was asked for"))


def test_a_role_that_the_template_names_passes() -> None:
    """In either kind of quotation marks."""
    check_roles(messages("user", "ipython", "context"), lambda: TEMPLATE)


@pytest.mark.parametrize("role", ["bot", "User", "human", "model", "assitant", "", "x" * 999])
@pytest.mark.parametrize("template", [TEMPLATE, None])
def test_any_other_role_is_refused_with_the_right_ones(role: str, template: str | None) -> None:
    """A misspelt role is told by its place; the answer would have been another one."""
    with pytest.raises(InvalidRequest, match=r"messages\.1\.role.*developer") as refused:
        check_roles(messages("user", role), lambda: template)
    assert refused.value.param == "messages"
    assert len(refused.value.message) < 200


def test_the_former_role_of_results_is_told_its_new_name() -> None:
    """OpenAI has renamed it with the calls."""
    with pytest.raises(InvalidRequest, match=r"use tool$"):
        check_roles(messages("function"), lambda: TEMPLATE)


def test_what_is_no_message_is_left_to_vllm() -> None:
    """Messages of gpt-oss are objects of their own."""
    check_roles([object(), {"content": "x"}, {"role": ["user"]}], lambda: TEMPLATE)
