"""Whether an engine computes log-probabilities of prompts rightly; requests for them are refused
where it does not.

vLLM 0.32 passes a prompt's rows through the head and applies adapters to them by the list of the
rows that are being sampled. On a CPU the plugin mends that. Elsewhere the numbers are wrong, also
those of a request to the base, because the list is that of everybody's requests; and where it is
longer than the rows, the kernels write past the end of their buffers, which can end the engine. An
engine whose head takes no adapters is not concerned.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from typing import Any, Self

from lorabay.base.shapes import HEAD
from lorabay.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class PromptLogprobs:
    """The decision for one engine."""

    are_right: bool

    @classmethod
    def of(cls, arguments: Namespace, *, on_cpu: bool) -> Self:
        """Return the decision for vLLM's parsed arguments."""
        return cls(on_cpu or not head_takes_adapters(arguments))

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
