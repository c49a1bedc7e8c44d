"""Settings of an invocation, and the errors of those that cannot work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lorabay.bench.settings import BenchSettings
from lorabay.bench.workload import Workload
from lorabay.errors import SetupError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"prompt_tokens": 0}, "prompt tokens"),
        ({"output_tokens": -1}, "output tokens"),
        ({"requests": 0}, "requests"),
        ({"rounds": 0}, "rounds"),
        ({"adapter_count": 0}, "adapter count"),
        ({"replicas": 0, "slots": -1}, "replicas, slots"),
        ({"concurrency": (8, 0)}, "concurrency 0"),
        ({"concurrency": ()}, "at least one concurrency"),
    ],
)
def test_impossible_numbers_are_usage_errors(wrong: dict[str, Any], named: str) -> None:
    """Each is named; nothing is started."""
    with pytest.raises(UsageError, match=named):
        BenchSettings(**wrong).check()


def test_defaults_are_possible() -> None:
    """Without any option the settings pass."""
    BenchSettings().check()


def test_a_comparison_needs_a_base_and_adapters(tmp_path: Path) -> None:
    """Scenarios that start both servers say what is missing."""
    with pytest.raises(UsageError, match="needs --base and --adapters"):
        BenchSettings(scenario="gateway").need_started()
    with pytest.raises(UsageError, match="leave out --url"):
        BenchSettings(
            scenario="gateway", url="http://x", base="b", adapters=tmp_path
        ).need_started()
    with pytest.raises(SetupError, match="does not exist"):
        BenchSettings(scenario="gateway", base="b", adapters=tmp_path / "no").need_started()


def test_a_scenario_of_its_own_adapters_needs_the_folder_of_a_base(tmp_path: Path) -> None:
    """Adapters cannot be made for a base that is a hub id or absent, nor given to a server that
    runs already.
    """
    assert BenchSettings(base=str(tmp_path)).need_base() == tmp_path
    for base in (None, "acme/llama"):
        with pytest.raises(UsageError, match="needs --base with a folder"):
            BenchSettings(scenario="many", base=base).need_base()
    with pytest.raises(UsageError, match="leave out --url"):
        BenchSettings(scenario="many", url="http://x", base=str(tmp_path)).need_base()


def test_the_key_is_not_printed() -> None:
    """A settings object in a log or traceback does not show the API key."""
    assert "secret" not in repr(BenchSettings(api_key="secret"))


def test_the_workload_is_that_of_the_settings() -> None:
    """Lengths and endpoint come from the settings, the models from the caller."""
    settings = BenchSettings(prompt_tokens=7, output_tokens=5, endpoint="chat")
    assert settings.workload(("finance",)) == Workload(("finance",), 7, 5, "chat")
