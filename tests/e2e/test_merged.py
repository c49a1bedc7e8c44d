"""Merged folders in vLLM's own server, without LoRA: the greedy tokens of base and adapter in PEFT.

Runs with `--merged` alone: each folder has an engine of its own.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from openai import OpenAI
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.bench.commands import bare_command
from lorabay.bench.servers import started
from lorabay.bench.settings import BASE, BenchSettings
from lorabay.merge.run import merge
from tests.e2e.conftest import REPOSITORY
from tests.e2e.greedy import PROMPTS, Tokens, ask, generate
from tests.merge import trained
from tests.merge.bases import merge_settings

ENGINE = {
    "dtype": "float32",
    "max_model_len": "1024",
    "max_num_batched_tokens": "1024",
    "enforce_eager": "true",
}
TRAINED = {
    "embeddings": "LoRA, embeddings of a tied base",
    "modules": "LoRA, modules_to_save",
    "dora": "DoRA",
}
"""Name here -> name in the table of formats. `embeddings` parts head and embedding, `modules`
replaces both.
"""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["finance", *TRAINED])
def test_a_merged_folder_in_vllm(
    name: str, base_folder: Path, tmp_path: Path, figures: list[str]
) -> None:
    """16 prompts at once, 32 tokens each, in float32: each token equal, and not those of the
    base.
    """
    adapter = REPOSITORY / "adapters" / name if name == "finance" else tmp_path / "adapter"
    if name in TRAINED:
        trained.train(TRAINED[name], trained.FORMATS[TRAINED[name]], base_folder, adapter, count=4)
    report = merge(
        merge_settings(tmp_path, adapter=str(adapter), base=base_folder, dtype="float32")
    )
    plain, expected = answers(base_folder, None), answers(base_folder, adapter)
    found = served(tmp_path / "merged")
    equal = sum(found[case] == tokens for case, tokens in expected.items())
    moved = sum(plain[case] != tokens for case, tokens in expected.items())
    figures.append(
        f"vLLM on the merged folder of {TRAINED.get(name, name)}"
        f"{', head parted from the embedding' if report.untied else ''}: "
        f"{equal} of {len(expected)} greedy answers are PEFT's, token for token; "
        f"{moved} differ from the base's"
    )
    assert found == expected
    assert moved


def answers(base: Path, adapter: Path | None) -> Tokens:
    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
        model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        return generate(
            model if adapter is None else PeftModel.from_pretrained(model, adapter), tokenizer, BASE
        )


def served(merged: Path) -> Tokens:
    settings = BenchSettings(engine=ENGINE, start_timeout_s=400)
    with started(
        merged.name, lambda port: bare_command(str(merged), ENGINE, port), settings
    ) as server:
        client = OpenAI(
            base_url=f"{server.target.url}/v1", api_key="none", timeout=300, max_retries=0
        )
        with client, ThreadPoolExecutor(len(PROMPTS)) as pool:
            found = pool.map(lambda number: ask(client, BASE, number), range(len(PROMPTS)))
            return {(BASE, number): tokens for number, tokens in enumerate(found)}
