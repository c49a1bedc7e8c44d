"""What an adapter's folder says of its use, beside what the base says already."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.base.tokenizer import BaseTokenizer
from lorabay.catalog.adapter_defaults import NO_DEFAULTS, Choice
from lorabay.catalog.defaults.own_defaults import OwnDefaults, read_own_defaults
from tests.files.test_impostors import CASES
from tests.tokenizers import END, OTHER_END, TEMPLATE, save_tokenizer

OTHER = "{{ messages[0].content }}"


@pytest.fixture
def base(tmp_path: Path) -> BaseTokenizer:
    return BaseTokenizer(save_tokenizer(tmp_path / "base"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "finance"
    folder.mkdir()
    return folder


def codes(own: OwnDefaults) -> list[str]:
    return [reason.code for reason in own.reasons]


def test_a_folder_that_says_nothing_has_no_defaults(folder: Path, base: BaseTokenizer) -> None:
    """Nor has one with the base's own tokenizer, which most trainers save beside an adapter."""
    assert read_own_defaults(folder, base) == OwnDefaults()
    for legacy in (False, True):
        save_tokenizer(folder, legacy=legacy)
        assert read_own_defaults(folder, base) == OwnDefaults()


@pytest.mark.parametrize("legacy", [False, True])
def test_another_template_and_end_token_are_the_adapters(
    folder: Path, base: BaseTokenizer, legacy: bool
) -> None:
    """Saved by transformers, as a file or in the tokenizer's config."""
    save_tokenizer(folder, template=OTHER, end=OTHER_END, legacy=legacy)
    own = read_own_defaults(folder, base)
    assert own.defaults.chat_template == OTHER
    assert own.defaults.end_tokens == (OTHER_END,)
    assert (own.warnings, own.reasons) == ((), ())


def test_a_base_without_a_template_takes_any(tmp_path: Path, folder: Path) -> None:
    """Its chats work with the adapter alone."""
    bare = BaseTokenizer(save_tokenizer(tmp_path / "bare", template=None))
    save_tokenizer(folder)
    assert read_own_defaults(folder, bare).defaults.chat_template == TEMPLATE


def test_a_file_of_the_template_wins_over_the_config(folder: Path, base: BaseTokenizer) -> None:
    """As in transformers; then the file of a processor."""
    save_tokenizer(folder, template="{{ messages }}", legacy=True)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": OTHER}))
    assert read_own_defaults(folder, base).defaults.chat_template == OTHER
    (folder / "chat_template.jinja").write_text(TEMPLATE + "\n")
    assert read_own_defaults(folder, base).defaults.chat_template is None


def test_end_tokens_of_a_generation_config_are_known_by_their_numbers(
    folder: Path, base: BaseTokenizer
) -> None:
    """The base's own is left out, and a number that it does not have is told."""
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 2, 3, 99]}))
    own = read_own_defaults(folder, base)
    assert own.defaults.end_tokens == (OTHER_END, "yes")
    assert ["token 99" in warning for warning in own.warnings] == [True]


def test_an_end_token_that_the_base_does_not_have_is_told(
    folder: Path, base: BaseTokenizer
) -> None:
    """It ends no answer; the way out is a merge."""
    save_tokenizer(folder, end="<|mine|>")
    own = read_own_defaults(folder, base)
    assert own.defaults == NO_DEFAULTS
    assert "'<|mine|>'" in own.warnings[0]
    assert all("lorabay merge" in warning for warning in own.warnings)


def test_tokens_that_the_adapter_adds_are_told_and_not_used(
    folder: Path, base: BaseTokenizer
) -> None:
    """Whichever file names them; tokens that the base has are no additions."""
    save_tokenizer(folder, added=("<|new|>",))
    (own,) = read_own_defaults(folder, base).warnings
    assert "'<|new|>'" in own
    (folder / "tokenizer.json").unlink()
    assert read_own_defaults(folder, base) == OwnDefaults()
    (folder / "added_tokens.json").write_text(json.dumps({END: 1, "<|new|>": 9, "yes": 3}))
    (own,) = read_own_defaults(folder, base).warnings
    assert "'<|new|>'" in own
    assert "'yes'" not in own


def test_tokens_under_other_numbers_are_told(folder: Path, base: BaseTokenizer) -> None:
    """The adapter was trained on other rows than its text will get."""
    (folder / "added_tokens.json").write_text(json.dumps({END: 2}))
    (warning,) = read_own_defaults(folder, base).warnings
    assert "otherwise than the base" in warning


def test_templates_beside_the_default_one_are_told(folder: Path, base: BaseTokenizer) -> None:
    """Those of tools are not used."""
    save_tokenizer(folder, template={"default": OTHER, "tool_use": "{{ tools }}"}, legacy=True)
    own = read_own_defaults(folder, base)
    assert own.defaults.chat_template == OTHER
    assert ["'tool_use'" in warning for warning in own.warnings] == [True]


def test_all_files_are_judged_at_once(folder: Path, base: BaseTokenizer) -> None:
    """Each that cannot be understood is a reason, once, with its name."""
    (folder / "lorabay.toml").write_text("[sampling]\ntemperature = 7\ntop_p = 7")
    (folder / "chat_template.jinja").write_text("{% if %}")
    (folder / "tokenizer_config.json").write_text('{"eos_token": 7}')
    (folder / "generation_config.json").write_text("no JSON")
    (folder / "added_tokens.json").write_text("[]")
    own = read_own_defaults(folder, base)
    assert (
        sorted(codes(own))
        == ["chat_template", "defaults_file", "defaults_file"] + ["tokenizer_file"] * 3
    )
    texts = " ".join(reason.text for reason in own.reasons)
    for name in ("lorabay.toml", "chat_template.jinja", "generation_config.json", "added_tokens"):
        assert name in texts


@pytest.mark.parametrize("content", [b"", b"\xff\xfe{"])
def test_a_template_that_is_no_text_is_a_reason(
    folder: Path, base: BaseTokenizer, content: bytes
) -> None:
    """An empty file may be one that is being written."""
    (folder / "chat_template.jinja").write_bytes(content)
    assert codes(read_own_defaults(folder, base)) == ["chat_template"]


def test_settings_and_tokenizer_come_together(folder: Path, base: BaseTokenizer) -> None:
    """One value holds what all files say."""
    save_tokenizer(folder, template=OTHER)
    (folder / "lorabay.toml").write_text('system_prompt = "Be brief."')
    defaults = read_own_defaults(folder, base).defaults
    assert defaults.chat_template == OTHER
    assert defaults.system_prompt == Choice("Be brief.")


@pytest.mark.parametrize("case", ["pointer", "page", "zip"])
@pytest.mark.parametrize(
    "name", ["chat_template.jinja", "tokenizer_config.json", "generation_config.json"]
)
def test_another_file_in_the_place_of_one_is_named(
    name: str, case: str, folder: Path, base: BaseTokenizer
) -> None:
    """A failed download would be a chat template otherwise: any text is one."""
    content, code, words = CASES[case]
    (folder / name).write_bytes(content)
    own = read_own_defaults(folder, base)
    assert codes(own) == [code]
    assert name in own.reasons[0].text
    assert words in own.reasons[0].text


def test_a_pointer_to_a_vocabulary_is_no_obstacle(folder: Path, base: BaseTokenizer) -> None:
    """Hubs keep it in Git LFS, and nothing here needs it."""
    (folder / "tokenizer.json").write_bytes(CASES["pointer"][0])
    assert read_own_defaults(folder, base) == OwnDefaults()
