"""Tool calls of a base whose own form of them is not known: those that a request demands.

vLLM takes no tools without a parser. With this one a request that names a tool, or requires one,
gets an answer that structured outputs bind to the tool's schema, as with any parser of vLLM. A call
that the model may choose to make has no form that could be recognised, so it is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vllm.entrypoints.generate.base.protocol import DeltaMessage, ExtractedToolCallInformation
from vllm.exceptions import VLLMValidationError
from vllm.tool_parsers import ToolParser, ToolParserManager

if TYPE_CHECKING:
    from collections.abc import Sequence

CONSTRAINED = "constrained"
"""The name of this parser among vLLM's."""

NO_FREE_CHOICE = (
    "this base has no form of tool calls that the server knows, so it cannot choose a tool by "
    "itself: set `tool_choice` to `required` or to one of the tools, or have the server started "
    "with --engine tool_call_parser=NAME"
)


class ConstrainedToolParser(ToolParser):  # type: ignore[misc] # vLLM has no types
    """Lets a request's tools through where `tool_choice` demands a call."""

    def adjust_request(self, request: Any) -> Any:
        """Bind the answer to the tools; raises VLLMValidationError where the model may choose."""
        if request.tools and request.tool_choice in ("auto", None):
            raise VLLMValidationError(NO_FREE_CHOICE, parameter="tool_choice")
        return super().adjust_request(request)

    def extract_tool_calls(self, model_output: str, request: Any) -> ExtractedToolCallInformation:
        """Return text as it is: an answer without a demanded call holds none."""
        return ExtractedToolCallInformation(tools_called=False, tool_calls=[], content=model_output)

    def extract_tool_calls_streaming(
        self,
        previous_text: str,
        current_text: str,
        delta_text: str,
        previous_token_ids: Sequence[int],
        current_token_ids: Sequence[int],
        delta_token_ids: Sequence[int],
        request: Any,
    ) -> DeltaMessage | None:
        """Return a piece of text as it is."""
        return DeltaMessage(content=delta_text) if delta_text else None


def register_constrained() -> None:
    """Make the parser known to vLLM by its name; idempotent."""
    ToolParserManager.register_module(CONSTRAINED, module=ConstrainedToolParser)
