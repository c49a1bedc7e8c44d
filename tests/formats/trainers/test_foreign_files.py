"""Names of files tell which trainer left them."""

from __future__ import annotations

import pytest

from lorabay.formats.trainers.foreign_files import FOREIGN_FILES, find_foreign, readable_file


@pytest.mark.parametrize(
    ("name", "code", "word"),
    [
        ("adapters.safetensors", "foreign_format", "mlx-lm"),
        ("0000100_adapters.safetensors", "foreign_format", "mlx-lm"),
        ("adapters.npz", "foreign_format", "mlx-lm"),
        ("lora.safetensors", "foreign_format", "mistral-finetune"),
        ("adapter_0.safetensors", "foreign_format", "torchtune"),
        ("adapter_model.bin", "pickle", "--allow-pickle"),
        ("adapter_model.pt", "pickle", "--allow-pickle"),
        ("adapter_12.pt", "pickle", "--allow-pickle"),
        ("pytorch_lora_weights.safetensors", "foreign_format", "diffusers"),
        ("__0_0.distcp", "foreign_format", "distributed"),
        ("zero_to_fp32.py", "foreign_format", "DeepSpeed"),
        ("finance-lora-f16.gguf", "foreign_format", "llama.cpp"),
        ("model-00001-of-00002.safetensors", "whole_model", "--base"),
        ("pytorch_model.bin", "whole_model", "--base"),
        ("finance.tar.gz", "archive", "unpack"),
        ("adapter_model.safetensors.gz", "archive", "unpack"),
        ("adapter_model-00001-of-00002.safetensors", "foreign_format", "lorabay convert"),
        ("adapter_model.safetensors.index.json", "foreign_format", "lorabay convert"),
        ("pytorch_adapter.bin", "foreign_format", "AdapterHub"),
        ("lit_model.pth.lora", "foreign_format", "litgpt"),
        ("finance.nemo", "foreign_format", "NeMo"),
        ("my_lora.pt", "pickle", "--allow-pickle"),
        ("finance.safetensors", "weights_missing", "adapter_model.safetensors"),
    ],
)
def test_each_kind_is_known_by_its_name(name: str, code: str, word: str) -> None:
    """The reason has the kind's code, the name, and what to do."""
    found = find_foreign([name], common=False) or find_foreign([name], common=True)
    assert found is not None
    reason = found[0].reason(found[1])
    assert reason.code == code
    assert repr(name) in reason.text
    assert word in reason.text


@pytest.mark.parametrize(
    "name",
    [
        "adapter_model.safetensors",
        "README.md",
        "optimizer.pt",
        "rng_state.pth",
        "training_args.bin",
        "trainer_state.json",
        "args.json",
        "server.log.1.gz",
    ],
)
def test_other_files_mean_nothing(name: str) -> None:
    """What trainers leave beside an adapter is no adapter, and PEFT's own file is not foreign."""
    assert find_foreign([name], common=False) is None
    assert find_foreign([name], common=True) is None


def test_a_trainers_own_file_wins_over_common_ones() -> None:
    """The kinds of trainers are looked for first."""
    names = ["model.safetensors", "adapters.safetensors", "0000100_adapters.safetensors"]
    assert readable_file(names) == "adapters.safetensors"


def test_of_two_files_alike_none_is_chosen() -> None:
    """Nor is a part of a whole model taken for an adapter's weights."""
    assert readable_file(["adapter_0.safetensors", "adapter_1.safetensors"]) is None
    assert readable_file(["model.safetensors"]) is None
    assert readable_file(["one.safetensors"]) == "one.safetensors"
    assert readable_file([]) is None


def test_what_can_be_read_says_so() -> None:
    """Every file that convert reads names the command, or the name to give it."""
    readable = [kind for kind in FOREIGN_FILES if kind.readable]
    assert len(readable) >= 4
    assert all("lorabay convert" in one.said.text or one.common for one in readable)
