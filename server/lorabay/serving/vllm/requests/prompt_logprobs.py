"""Log-probabilities of prompts: whether an engine computes them rightly, and of how long prompts;
other requests for them are refused.

vLLM 0.32 passes a prompt's rows through the head and applies adapters to them by the list of the
rows that are being sampled. On a CPU the plugin mends that. Elsewhere the numbers are wrong, also
those of a request to the base, because the list is that of everybody's requests; and where it is
longer than the rows, the kernels write past the end of their buffers, which can end the engine. An
engine whose head takes no adapters is not concerned.

They are computed in one step, over the whole vocabulary for each token of the prompt. Everybody's
next token waits for that step: seconds, for two thousand tokens on two cores.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from typing import Any, Self

from lorabay.base.shapes import HEAD
from lorabay.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class PromptLogprobs:
    """The decision for one engine; `max_tokens` is the longest prompt that is scored."""

    are_right: bool
    max_tokens: int

    @classmethod
    def of(cls, arguments: Namespace, *, on_cpu: bool, max_tokens: int) -> Self:
        """Return the decision for vLLM's parsed arguments."""
        return cls(on_cpu or not head_takes_adapters(arguments), max_tokens)

    def check(self, request: Any) -> None:
        """Raise InvalidRequest for a request, as vLLM parsed it, that asks for wrong numbers."""
        if self.are_right:
            return

        field = _asking_field(request)
        if field is not None:
            raise InvalidRequest(
                "log-probabilities of the prompt are not computed on this server: on a GPU vLLM "
                "would mix up the adapters of different requests; ask for those of the output only",
                param=field,
            )

    def check_length(self, request: Any, tokens: int) -> None:
        """Raise InvalidRequest if `request` has its prompts scored, and they have too many tokens.

        All prompts of a request count together.
        """
        if tokens <= self.max_tokens:
            return

        field = _asking_field(request)
        if field is not None:
            raise InvalidRequest(
                f"`{field}` asks for log-probabilities of {tokens} prompt tokens; at most "
                f"{self.max_tokens} (setting `max_prompt_logprob_tokens`)",
                param=field,
            )


def head_takes_adapters(arguments: Namespace) -> bool:
    """Return whether an engine with vLLM's parsed arguments applies adapters to the base's head."""
    targets = arguments.lora_target_modules
    return targets is None or any(HEAD in target for target in targets)


def _asking_field(request: Any) -> str | None:
    """Return the field by which a request makes vLLM score its prompt, None if none does."""
    if getattr(request, "prompt_logprobs", None) is not None:
        return "prompt_logprobs"
    if not getattr(request, "echo", False):
        return None

    # With `echo` vLLM scores the prompt as often as the output: completions count in `logprobs`,
    # chats in `top_logprobs`, where the default of 0 is a number too.
    scores = request.top_logprobs if hasattr(request, "top_logprobs") else request.logprobs
    return None if scores is None else "echo"
