"""Names of attributes: those of OpenTelemetry are spelled as it does."""

from __future__ import annotations

from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.attributes import error_attributes, http_attributes

from lorabay.tracing import names


def test_what_is_not_ours_is_opentelemetrys() -> None:
    """Collectors know these; a name that the conventions drop is noticed here."""
    theirs = {
        value
        for module in (gen_ai_attributes, error_attributes, http_attributes)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str)
    }
    values = {
        value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)
    }
    ours = {value for value in values if value.startswith("lorabay")}
    assert values - ours <= theirs
    assert len(ours) > 1


def test_no_name_is_of_a_text() -> None:
    """None is where the conventions put prompts and answers."""
    texts = {
        gen_ai_attributes.GEN_AI_INPUT_MESSAGES,
        gen_ai_attributes.GEN_AI_OUTPUT_MESSAGES,
        gen_ai_attributes.GEN_AI_SYSTEM_INSTRUCTIONS,
        gen_ai_attributes.GEN_AI_TOOL_DEFINITIONS,
    }
    assert texts.isdisjoint(value for value in vars(names).values() if isinstance(value, str))
