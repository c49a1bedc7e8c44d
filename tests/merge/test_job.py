"""A merge before its first byte: its plan, inputs and places, and sizes as text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lorabay.errors import SetupError, UsageError
from lorabay.merge.job import Job, check_places, parse_size, plan_job
from lorabay.tools.find_adapter import ChosenAdapter
from tests import making
from tests.making import BASE_NAME
from tests.merge.bases import make_base, make_lora, merge_settings, random_tensor


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("5000000", 5_000_000),
        ("500MB", 500_000_000),
        ("500mb", 500_000_000),
        ("2GiB", 2 << 30),
        ("2 G", 2_000_000_000),
        ("1.5kB", 1_500),
        ("1Ti", 1 << 40),
    ],
)
def test_sizes(text: str, size: int) -> None:
    """Units are decimal as for disks, and binary with an `i`."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "0GB", "-1GB", "GB", "1e9", "5 apples", "1.5.2MB", "nan", "0.5", "9" * 400]
)
def test_no_sizes(text: str) -> None:
    """Any other text is refused with an example."""
    with pytest.raises(UsageError, match="is no size; write it as in 500MB or 2GiB"):
        parse_size(text)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    make_base(tmp_path / "base"), make_lora(tmp_path / "adapter")
    return tmp_path


def planned(folders: Path, **changes: object) -> Job:
    settings = merge_settings(folders, **changes)
    return plan_job(settings, settings.base, ChosenAdapter.at(folders / "adapter"))


def test_a_job_knows_the_merge_before_it_begins(folders: Path) -> None:
    """Nothing is written, and no number is read, to know names, sizes and dtypes."""
    job = planned(folders)
    assert job.base_name == BASE_NAME
    assert (job.dtype, job.arithmetic, job.initial) == ("bfloat16", "float32", None)
    assert len(job.plan.changed) == 6
    assert not job.settings.output.exists()


@pytest.mark.parametrize(
    "changes", [{"dtype": "float16"}, {"float64": True}, {"max_shard_bytes": 5_000}]
)
def test_inputs_differ_with_the_files_that_would_be_made(
    folders: Path, changes: dict[str, object]
) -> None:
    """Equal inputs are equal JSON, so that a later run can compare them."""
    usual = json.dumps(planned(folders).inputs)
    assert json.dumps(planned(folders).inputs) == usual
    assert json.dumps(planned(folders, **changes).inputs) != usual


def test_an_adapter_that_does_not_fit_is_refused(folders: Path) -> None:
    """The message names the adapter, the base and every reason."""
    shutil.rmtree(folders / "adapter")
    making.make_adapter(
        folders / "adapter",
        tensors={f"{making.PREFIX}model.layers.9.q_proj.lora_A.weight": random_tensor((4, 16), 1)},
    )
    with pytest.raises(SetupError, match="the adapter 'adapter' cannot be merged into"):
        planned(folders)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("base", "lies inside"),
        ("base/deep/merged", "lies inside"),
        (".", r"holds .*, which is read"),
        ("link", "lies inside"),
    ],
)
def test_places_that_would_change_an_input(folders: Path, output: str, message: str) -> None:
    """Links are followed; a folder beside the inputs is allowed."""
    (folders / "link").symlink_to("base")
    with pytest.raises(SetupError, match=message):
        check_places(folders / output, (folders / "base", folders / "adapter"))
    check_places(folders / "base-merged", (folders / "base", folders / "adapter"))
