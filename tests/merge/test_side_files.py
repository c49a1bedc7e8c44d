"""Which files come along with the weights: never a mixture of two tokenizers."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.merge.side_files import copy_side_files, names_from, side_files

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def folder(path: Path, *names: str, text: str = "{}") -> Path:
    path.mkdir()
    for name in names:
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(text)
    return path


def test_weights_and_hidden_files_stay_behind(tmp_path: Path) -> None:
    """What a merged model needs is copied, in order of name, and nothing else."""
    base = folder(
        tmp_path / "base",
        *TOKENIZER,
        *("LICENSE.txt", "modeling_x.py", "generation_config.json"),
        *("model.safetensors", "config.json", "notes.txt", ".tokenizer.json"),
    )
    files = side_files(base, folder(tmp_path / "adapter", "adapter_config.json", "README.md"))
    expected = {*TOKENIZER, "LICENSE.txt", "modeling_x.py", "generation_config.json"}
    assert list(files) == sorted(expected)


def test_a_tokenizer_of_the_adapter_wins_as_a_whole(tmp_path: Path) -> None:
    """No file of the base's tokenizer stays beside it."""
    base = folder(tmp_path / "base", *TOKENIZER, "merges.txt")
    adapter = folder(tmp_path / "adapter", "tokenizer.json")
    assert side_files(base, adapter) == {"tokenizer.json": adapter / "tokenizer.json"}


def test_a_config_without_a_vocabulary_is_an_addition(tmp_path: Path) -> None:
    """The adapter's config of the tokenizer wins, and the base's vocabulary stays."""
    base = folder(tmp_path / "base", *TOKENIZER)
    adapter = folder(tmp_path / "adapter", "tokenizer_config.json")
    files = side_files(base, adapter)
    assert files["tokenizer_config.json"].parent == adapter
    assert files["tokenizer.json"].parent == base


@pytest.mark.parametrize(
    ("name", "text"),
    [("chat_template.jinja", "x"), ("tokenizer_config.json", '{"chat_template": "x"}')],
)
def test_a_template_of_the_adapter_wins(tmp_path: Path, name: str, text: str) -> None:
    """Whether it is a file of its own or part of the tokenizer's config."""
    base = folder(tmp_path / "base", "chat_template.json")
    adapter = folder(tmp_path / "adapter", name, text=text)
    assert side_files(base, adapter) == {name: adapter / name}


TOOLS = "additional_chat_templates/tools.jinja"
RAG = "additional_chat_templates/rag.jinja"


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ([], {"chat_template.jinja": "base", TOOLS: "base"}),
        (["chat_template.jinja"], {"chat_template.jinja": "adapter"}),
        (["chat_template.jinja", RAG], {"chat_template.jinja": "adapter", RAG: "adapter"}),
        ([RAG], {"chat_template.jinja": "base", RAG: "adapter"}),
    ],
)
def test_templates_of_two_folders_are_not_mixed(
    tmp_path: Path, own: list[str], expected: dict[str, str]
) -> None:
    """Named templates go with the usual one; without an own usual one, the base's is kept."""
    base = folder(tmp_path / "base", "chat_template.jinja", TOOLS)
    adapter = folder(tmp_path / "adapter", "adapter_config.json", *own)
    found = side_files(base, adapter)
    places = {"base": base, "adapter": adapter}
    assert found == {name: places[place] / name for name, place in expected.items()}
    assert names_from(adapter, found) == tuple(sorted(own))
    copy_side_files(found, folder(tmp_path / "merged"))
    assert {name for name in expected if (tmp_path / "merged" / name).is_file()} == set(expected)


def test_a_generation_config_of_the_adapter_wins(tmp_path: Path) -> None:
    """Its sampling belongs to the answers that it was trained for."""
    base = folder(tmp_path / "base", "generation_config.json")
    adapter = folder(tmp_path / "adapter", "generation_config.json")
    assert side_files(base, adapter) == {
        "generation_config.json": adapter / "generation_config.json"
    }


def test_further_files_of_the_base_are_asked_for_by_name(tmp_path: Path) -> None:
    """Those that describe a packing belong to a base that stays packed only."""
    base = folder(tmp_path / "base", "hf_quant_config.json")
    adapter = folder(tmp_path / "adapter")
    assert side_files(base, adapter) == {}
    assert list(side_files(base, adapter, ("hf_quant_config.json",))) == ["hf_quant_config.json"]


def test_copies(tmp_path: Path) -> None:
    """Bytes as they are."""
    base = folder(tmp_path / "base", "LICENSE", text="free")
    copy_side_files({"LICENSE": base / "LICENSE"}, folder(tmp_path / "merged"))
    assert (tmp_path / "merged" / "LICENSE").read_text() == "free"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """One line that names it."""
    with pytest.raises(SetupError, match="nowhere cannot be read: No such file"):
        side_files(tmp_path / "nowhere", tmp_path)


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "{"])
def test_a_tokenizers_config_that_is_no_config_has_no_template(tmp_path: Path, text: str) -> None:
    """However deep it nests."""
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    base.mkdir()
    adapter.mkdir()
    (base / "chat_template.jinja").touch()
    (adapter / "tokenizer_config.json").write_text(text)
    assert side_files(base, adapter)["chat_template.jinja"] == base / "chat_template.jinja"
