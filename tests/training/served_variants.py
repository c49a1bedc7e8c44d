"""Whether a server answers as PEFT does with each adapter of a folder: 64 greedy tokens.

    lorabay serve --adapters FOLDER --engine dtype=float32 --engine max_lora_rank=256
    python -m tests.training.served_variants FOLDER [URL]

Prints for each adapter how many tokens are the same before the first that is not, of 64.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import httpx
import torch
from peft import PeftModel

from lorabay.base.causal_lm import load_model, load_tokenizer
from lorabay.base.default import cache_folder, prepare

LENGTH = 64
PROMPT = "I want to return a pair of shoes that do not fit."


def of_peft(base: Path, adapter: Path) -> list[int]:
    """Return the tokens of PEFT's model, to the end of the length, whatever ends an answer."""
    tokenizer = load_tokenizer(base)
    model: Any = PeftModel.from_pretrained(load_model(base), adapter)
    inputs = tokenizer.apply_chat_template(
        [{"role": "user", "content": PROMPT}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    with torch.inference_mode():
        output = model.generate(
            **inputs, min_new_tokens=LENGTH, max_new_tokens=LENGTH, do_sample=False
        )
    return list(output[0, inputs["input_ids"].shape[1] :].tolist())


def of_server(url: str, name: str) -> list[int]:
    """Return the tokens of the server's adapter."""
    body = {
        "model": name,
        "messages": [{"role": "user", "content": PROMPT}],
        "max_tokens": LENGTH,
        "min_tokens": LENGTH,
        "temperature": 0,
        "return_token_ids": True,
    }
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=300)
    answer.raise_for_status()
    return list(answer.json()["choices"][0]["token_ids"])


def main(folder: Path, url: str) -> None:
    """Print how far the answers agree."""
    base = prepare(cache_folder())
    for adapter in sorted(path for path in folder.iterdir() if path.is_dir()):
        expected, given = of_peft(base, adapter), of_server(url, adapter.name)
        pairs = enumerate(zip(expected, given, strict=True))
        same = next((place for place, (one, other) in pairs if one != other), LENGTH)
        sys.stdout.write(f"{adapter.name}: {same} of {LENGTH}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8000")
