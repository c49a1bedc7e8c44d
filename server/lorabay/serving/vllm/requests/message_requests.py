"""Anthropic's messages on their way into the chat that vLLM makes of them.

vLLM's chat leaves out what it has no place for: that an answer goes on from the assistant's last
message, results of tools in other forms than text and images, a demanded tool where there is none.
Here it is said, or refused. Knows nothing of answers; `messages` does.
"""

from __future__ import annotations

from typing import Any

from vllm.exceptions import VLLMValidationError

READ_RESULTS = frozenset({"text", "image", "tool_reference"})
"""Kinds of blocks in a tool's result that vLLM puts into the chat."""

FREE_CHOICES = ("auto", "none", None)


def read_whole(serving: Any) -> None:
    """Have `serving`, vLLM's class for messages, make chats that say all that a message says.

    None, which stands for a model that does not generate, is left alone.
    """
    if serving is None:
        return

    make = serving.to_chat_completion_request

    def made(request: Any, **options: Any) -> Any:
        _check_results(request)
        chat = make(request, **options)
        _check_chat(chat)
        _continue(chat)
        return chat

    serving.to_chat_completion_request = made


def _check_results(request: Any) -> None:
    """Raise VLLMValidationError for a tool's result that vLLM would leave out."""
    for message in request.messages:
        blocks = message.content if isinstance(message.content, list) else []
        results = [block.content for block in blocks if block.type == "tool_result"]
        parts = [part for result in results if isinstance(result, list) for part in result]
        left_out = {str(part.get("type")) for part in parts} - READ_RESULTS
        if left_out:
            raise VLLMValidationError(
                f"blocks of the type {sorted(left_out)[0][:40]!r} in a `tool_result` are not read "
                "here: send their text",
                parameter="messages",
            )


def _check_chat(chat: Any) -> None:
    """Raise VLLMValidationError for a chat without messages, or for a tool that is not there."""
    if not chat.messages:
        raise VLLMValidationError("`messages` holds no content", parameter="messages")
    if chat.tool_choice in FREE_CHOICES:
        return

    names = {tool.function.name for tool in chat.tools or ()}
    asked = getattr(chat.tool_choice, "function", None)
    if not names or (asked is not None and asked.name not in names):
        raise VLLMValidationError(
            "`tool_choice` demands a tool that is not in `tools`", parameter="tool_choice"
        )


def _continue(chat: Any) -> None:
    """Have the answer go on from the assistant's own last words, if the messages end with them."""
    last = chat.messages[-1]
    says = isinstance(last, dict) and last.get("role") == "assistant" and last.get("content")
    if says and not last.get("tool_calls"):
        chat.continue_final_message = True
        chat.add_generation_prompt = False
