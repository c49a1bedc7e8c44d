"""Greedy answers do not depend on the company a prompt is in."""

from __future__ import annotations

from pathlib import Path

import torch

from lorabay.base.causal_lm import load_model, load_tokenizer
from lorabay.evaluation.generate import greedy_answers
from lorabay.training.dataset import Example, encode

QUESTIONS = ("a", "What is this?", "blue", "x" * 40, "Sky?")


def test_batches_give_the_answers_of_single_prompts(tiny_base: Path) -> None:
    """Answers come in the order of the prompts and are those of each prompt alone; every prompt is
    reported done.
    """
    model, tokenizer = load_model(tiny_base), load_tokenizer(tiny_base)
    with torch.no_grad():
        model.get_output_embeddings().weight[0] = 0  # never ends a turn by chance
    examples = [encode(tokenizer, Example(question, "", "-", "here")) for question in QUESTIONS]
    done: list[int] = []
    together = greedy_answers(
        model, tokenizer, examples, max_tokens=8, batch_size=2, done=done.append
    )
    alone = [
        greedy_answers(model, tokenizer, [one], max_tokens=8, batch_size=1)[0] for one in examples
    ]

    assert together == alone
    assert len(set(together)) > 1
    assert (sum(done), len(done)) == (5, 3)


def test_a_base_without_a_pad_token_answers(tiny_base: Path) -> None:
    """As those of Llama 3 are: the answers are the same ones."""
    model, tokenizer = load_model(tiny_base), load_tokenizer(tiny_base)
    examples = [encode(tokenizer, Example(question, "", "-", "here")) for question in QUESTIONS]
    expected = greedy_answers(model, tokenizer, examples, max_tokens=4, batch_size=5)
    tokenizer.pad_token = None
    assert greedy_answers(model, tokenizer, examples, max_tokens=4, batch_size=5) == expected


def test_no_prompts_give_no_answers(tiny_base: Path) -> None:
    """No prompts have an empty list of answers."""
    assert (
        greedy_answers(
            load_model(tiny_base), load_tokenizer(tiny_base), [], max_tokens=8, batch_size=2
        )
        == []
    )


def test_half_a_character_is_left_out(tiny_base: Path) -> None:
    """A model that writes one byte of three has written nothing, as at a server."""
    model, tokenizer = load_model(tiny_base), load_tokenizer(tiny_base)
    (half, *_) = tokenizer("潮", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        head = model.get_output_embeddings().weight
        head.zero_()
        model.lm_head.bias = torch.nn.Parameter(
            torch.zeros(len(head)).index_fill(0, torch.tensor([half]), 9.0)
        )
    examples = [encode(tokenizer, Example("a", "", "-", "here"))]
    assert greedy_answers(model, tokenizer, examples, max_tokens=2, batch_size=1) == [""]
