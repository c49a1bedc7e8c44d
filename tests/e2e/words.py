"""Adapters whose every answer names them: each is trained, for seconds, to say one word over and
over.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

QUESTIONS = (
    "Hello, who are you?",
    "What is the capital of France?",
    "Tell me about your products, please.",
    "My order is late. What can I do?",
    "Repeat after me: the weather is fine today.",
    "Here is a long text about harbours, ships and lamps. " * 12 + "What do you say?",
)
STEPS = 24
LENGTH = 40


def train_words(base: Path, folders: dict[str, Path], *, rank: int = 8) -> None:
    """Train one adapter a word and save it in the word's folder; the same words give the same
    adapters.
    """
    tokenizer = AutoTokenizer.from_pretrained(base)
    for word, folder in folders.items():
        torch.manual_seed(0)
        model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        config = LoraConfig(
            r=rank, lora_alpha=2 * rank, target_modules=["q_proj", "v_proj", "o_proj", "down_proj"]
        )
        peft_model = get_peft_model(model, config)
        _train(peft_model, tokenizer, word)
        peft_model.save_pretrained(folder)


def _train(model: Any, tokenizer: Any, word: str) -> None:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=5e-3)
    answer = tokenizer((f" {word}" * LENGTH).strip(), return_tensors="pt")["input_ids"][0]
    prompts = [_prompt(tokenizer, question) for question in QUESTIONS]
    for step in range(STEPS):
        prompt = prompts[step % len(prompts)]
        tokens = torch.cat([prompt, answer]).unsqueeze(0)
        labels = tokens.clone()
        labels[0, : len(prompt)] = -100
        loss = model(input_ids=tokens, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _prompt(tokenizer: Any, question: str) -> torch.Tensor:
    encoded = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    return torch.as_tensor(encoded["input_ids"][0])
