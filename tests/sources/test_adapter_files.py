"""Which files are taken from a source."""

from __future__ import annotations

from lorabay.files.adapter_folder import Limits
from lorabay.sources.adapter_files import is_adapters, wanted_files, what_is_missing
from tests.sources.made import CONFIG, WEIGHTS


def test_only_files_of_known_names_are_taken() -> None:
    """Neither programs nor pickles nor training state come here."""
    names = {CONFIG, WEIGHTS, "lorabay.toml", "optimizer.pt", "run.py", "training_args.bin"}
    assert set(wanted_files(names)) == {CONFIG, WEIGHTS, "lorabay.toml"}
    assert wanted_files(names)[WEIGHTS] == Limits().weights_bytes


def test_a_whole_model_is_taken_with_all_its_parts() -> None:
    """Parts of weights have names with numbers."""
    parts = {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}
    names = {"config.json", "model.safetensors.index.json", *parts, "pytorch_model.bin"}
    assert set(wanted_files(names)) == names - {"pytorch_model.bin"}
    assert what_is_missing(names) is None


def test_what_is_missing_is_said() -> None:
    """An adapter is config and weights, or a composite."""
    assert what_is_missing({CONFIG}) == f"there is no {WEIGHTS}"
    assert what_is_missing({CONFIG, WEIGHTS}) is None
    assert what_is_missing({"composite.toml"}) is None


def test_what_shows_that_a_folder_is_meant_as_an_adapter() -> None:
    """A README alone does not."""
    assert is_adapters(WEIGHTS)
    assert not is_adapters("README.md")
