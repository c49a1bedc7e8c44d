"""The base is a folder, a hub id in the local cache, or one clear refusal."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import huggingface_hub.constants
import pytest
from huggingface_hub.utils import filter_repo_objects

from lorabay.base import find
from lorabay.base.find import (
    COPIES,
    PATTERNS,
    BaseFolder,
    find_base,
    revision_of,
    served_names,
)
from lorabay.errors import SetupError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache in a temporary folder, on a machine without network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def test_a_folder_is_served_under_its_own_name(tmp_path: Path) -> None:
    """A relative, linked or tilde path is found, and its last part is what clients call it."""
    (tmp_path / "tiny-llama").mkdir()
    assert find_base(str(tmp_path / "tiny-llama")) == BaseFolder(
        tmp_path / "tiny-llama", "tiny-llama"
    )
    assert (
        find_base(str(tmp_path / "tiny-llama" / "..") + "/tiny-llama/").served_name == "tiny-llama"
    )


def test_relative_and_home_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path and a tilde mean what they mean in a shell."""
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for text in ("tiny", "./tiny", "~/tiny"):
        assert find_base(text) == BaseFolder(tmp_path / "tiny", "tiny")


@pytest.mark.parametrize("text", ["/nowhere/tiny", "./nowhere", "../nowhere/tiny"])
def test_a_path_that_does_not_exist_is_not_looked_up(text: str) -> None:
    """A text that starts like a path is never sent to the hub."""
    with pytest.raises(SetupError, match=f"{text} does not exist"):
        find_base(text)


def test_a_path_that_is_no_folder_says_what_it_is(tmp_path: Path) -> None:
    """A file, and a link that leads to itself."""
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="file is not a folder"):
        find_base(str(tmp_path / "file"))

    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SetupError, match="loop cannot be used: Too many levels"):
        find_base(str(tmp_path / "loop"))


def test_a_hub_id_in_the_cache_is_found_offline(hub_cache: Path) -> None:
    """A model that was downloaded before is served under its hub id, without any network."""
    model = hub_cache / "models--acme--tiny-llama"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(COMMIT)
    snapshot = model / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    assert find_base("acme/tiny-llama") == BaseFolder(snapshot, "acme/tiny-llama")


@pytest.mark.usefixtures("hub_cache")
@pytest.mark.parametrize(
    "text", ["acme/unknown", "unknown", "a/b/c", "acme/../x", "-x", "acme/ ünknown"]
)
def test_an_unknown_model_is_one_line(text: str) -> None:
    """An unknown or impossible id is refused with its reason."""
    with pytest.raises(
        SetupError, match="neither a folder nor a model that the hub gives"
    ) as caught:
        find_base(text)
    assert "\n" not in caught.value.message
    assert repr(text) in caught.value.message


def downloaded(files: Iterable[str]) -> set[str]:
    """Of the files of a repository, those that the hub's own filter leaves for a download."""
    return set(filter_repo_objects(files, allow_patterns=PATTERNS, ignore_patterns=COPIES))


def test_only_what_is_served_is_downloaded() -> None:
    """Weights of other frameworks stay on the hub."""
    wanted = {
        "config.json",
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.model",
        "chat_template.jinja",
        "merges.txt",
    }
    unwanted = {
        "pytorch_model.bin",
        "tf_model.h5",
        "model.gguf",
        "flax_model.msgpack",
        "model.onnx",
    }
    assert downloaded(wanted | unwanted) == wanted


def test_the_same_weights_are_not_downloaded_twice() -> None:
    """Some repositories hold them also as other programs want them: gpt-oss, Llama, Mistral."""
    copies = {
        "original/model.safetensors",
        "original/consolidated.00.pth",
        "original/params.json",
        "metal/model.safetensors",
        "consolidated.safetensors",
        "consolidated-00001-of-00002.safetensors",
    }
    assert downloaded(copies | {"model.safetensors"}) == {"model.safetensors"}


def test_the_hub_is_asked_for_exactly_that(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[dict[str, object]] = []

    def snapshot_download(base: str, **options: object) -> str:
        asked.append(options)
        return str(tmp_path)

    monkeypatch.setattr(find, "snapshot_download", snapshot_download)
    assert find_base("acme/tiny-llama").path == tmp_path
    wanted = {"allow_patterns": PATTERNS, "ignore_patterns": COPIES}
    assert asked == [{"revision": None} | wanted]


@pytest.mark.parametrize(
    ("text", "option", "revision"),
    [("acme/tiny@v2", None, "v2"), ("acme/tiny", "v3", "v3"), ("acme/tiny@v2", "v3", "v2")],
)
def test_a_revision_is_asked_for(hub_cache: Path, text: str, option: str, revision: str) -> None:
    """In the name, or as the engine's option; the base keeps its own name."""
    model = hub_cache / "models--acme--tiny"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / revision).write_text(COMMIT)
    snapshot = model / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    assert find_base(text, revision=option) == BaseFolder(snapshot, "acme/tiny")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ("tiny",)),
        ({"served_model_name": "my-model"}, ("my-model",)),
        ({"served_model_name": ["a", "b"]}, ("a", "b")),
        ({"served_model_name": 7}, ("7",)),
    ],
)
def test_served_names(options: dict[str, object], names: tuple[str, ...]) -> None:
    """The base goes by its own name unless vLLM's option gives it one or several others."""
    assert served_names(options, BaseFolder(Path("/models/tiny"), "tiny")) == names


def test_the_engines_option_is_a_revision() -> None:
    """Also one that looks like a number."""
    assert revision_of({}) is None
    assert revision_of({"revision": 7}) == "7"
