"""The parts of a server, as its settings and its directory decide them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lorabay.base.weights import BaseWeights
from lorabay.errors import SetupError, UsageError
from lorabay.files.adapter_folder import SCALES_FILE
from lorabay.server.composition import engine_options, worker_count
from lorabay.settings import Settings
from tests.server.directories import changed, directory_of


def test_the_adapters_of_the_folder_are_live_before_the_engine_starts(settings: Settings) -> None:
    """The folder is read first, because its adapters decide the engine's options."""
    reconciler = directory_of(settings)
    asyncio.run(reconciler.read_directory())
    assert reconciler.registry.names() == ("finance",)
    options = engine_options(settings, reconciler)
    assert (options["max_loras"], options["max_lora_rank"], options["shutdown_timeout"]) == (
        2,
        16,
        30,
    )


def test_the_users_engine_options_win(settings: Settings) -> None:
    """A given option replaces the one that follows from the host; memory for adapters grows with
    the slots.
    """
    reconciler = directory_of(settings)
    chosen = changed(settings, engine={"max_loras": 20, "max_lora_rank": 64, "dtype": "float32"})
    options = engine_options(chosen, reconciler)
    assert (options["max_loras"], options["max_lora_rank"], options["dtype"]) == (20, 64, "float32")
    assert options["max_cpu_loras"] > 20


@pytest.mark.parametrize("option", ["max_lora_rank", "max_loras", "max_cpu_loras"])
def test_an_engine_option_that_is_no_number_is_a_usage_error(
    settings: Settings, option: str
) -> None:
    """Options that are read before vLLM sees them are refused like those that vLLM refuses."""
    wrong = changed(settings, engine={option: "many"})
    with pytest.raises(UsageError, match=f"'{option}' takes a whole number, not 'many'"):
        engine_options(wrong, directory_of(wrong))


def test_workers_are_counted_over_every_kind_of_parallelism(settings: Settings) -> None:
    """Ranks of one model and its copies alike."""
    assert worker_count({}) == worker_count({"max_loras": 4}) == 1
    assert (
        worker_count(
            {"tensor_parallel_size": 2, "pipeline_parallel_size": 3, "data_parallel_size": "2"}
        )
        == 12
    )
    with pytest.raises(UsageError, match="'tensor_parallel_size' takes a whole number"):
        worker_count({"tensor_parallel_size": "many"})


def test_a_former_dora_version_stays_away_from_an_engine_that_scales_nothing(
    settings: Settings, base: Path
) -> None:
    """It would answer without its factors; a server that scales outputs finds it again."""
    reconciler = directory_of(settings)
    asyncio.run(reconciler.read_directory())
    (version,) = reconciler.declared()
    (version.path / SCALES_FILE).touch()
    names = [status.name for status in directory_of(settings).registry.snapshot() if status.kept]
    assert names == []
    weights = BaseWeights.open(base)
    scaling = directory_of(settings, weights)
    assert [status.name for status in scaling.registry.snapshot() if status.kept] == ["finance"]


def test_adapters_that_do_not_exist_stop_the_start(settings: Settings, tmp_path: Path) -> None:
    """A mistyped folder is told at once, not served as an empty one."""
    reconciler = directory_of(changed(settings, adapters=tmp_path / "nowhere"))
    with pytest.raises(SetupError, match="nowhere"):
        asyncio.run(reconciler.read_directory())


def test_a_broken_adapter_does_not_stop_the_start(settings: Settings) -> None:
    """The others are served; the broken one is marked with its reasons."""
    (settings.adapters / "broken").mkdir()
    (settings.adapters / "broken" / "adapter_config.json").write_text("{")
    reconciler = directory_of(settings)
    asyncio.run(reconciler.read_directory())
    states = {status.name: str(status.state) for status in reconciler.registry.snapshot()}
    assert states == {"finance": "ready", "broken": "rejected"}
