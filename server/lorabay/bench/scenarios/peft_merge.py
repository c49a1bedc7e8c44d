"""PEFT's merge, the reference of scenario `merge`, which runs this module as a program of its own.

Loads the model, merges the adapter and saves.
"""

from __future__ import annotations

import sys


def main(base: str, adapter: str, output: str) -> None:
    """Merge in the shortest way that PEFT's documentation shows."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16, local_files_only=True)
    PeftModel.from_pretrained(model, adapter).merge_and_unload().save_pretrained(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
