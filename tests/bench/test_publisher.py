"""Versions made beside the adapter directory and renamed into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lorabay.bench.publisher import NAME, Publisher
from lorabay.bench.synthetic_adapters import RandomAdapters
from lorabay.catalog.admission import Checks, validate
from lorabay.catalog.discovery import scan
from lorabay.catalog.versions import AdapterSpec
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_draft_becomes_the_adapter_by_a_rename(publisher: Publisher) -> None:
    """The folder in place is the very folder that was made, for each version in turn, and nothing
    else is there.
    """
    for number in range(3):
        draft = publisher.draft(number)
        made = draft.folder.stat().st_ino
        publisher.publish(draft)
        assert [path.name for path in publisher.adapters.iterdir()] == [NAME]
        assert (publisher.adapters / NAME).stat().st_ino == made
        assert not draft.folder.exists()


def test_the_version_is_what_the_server_will_find(publisher: Publisher) -> None:
    """A draft knows the digest of the folder that it becomes; drafts differ."""
    drafts = [publisher.draft(number) for number in range(2)]
    publisher.publish(drafts[0])
    found = validate(publisher.adapters / NAME, Checks(publisher.base, 512))
    assert isinstance(found, AdapterSpec)
    assert found.digest.startswith(drafts[0].version)
    assert len(drafts[0].version) == 12
    assert drafts[0].version != drafts[1].version


def test_the_server_sees_one_candidate(publisher: Publisher) -> None:
    """Drafts and former versions lie where the adapter directory's scan does not look."""
    publisher.publish(publisher.draft(0))
    publisher.publish(publisher.draft(1))
    publisher.draft(2)
    assert set(scan(publisher.adapters)) == {NAME}


def test_adapters_that_do_not_fit_are_one_clear_line(publisher: Publisher, tmp_path: Path) -> None:
    """A kind made for another base is refused with the reason, before it is published."""
    foreign = RandomAdapters("other", 4, (("model.layers.9.self_attn.q_proj", (16, 16)),))
    with pytest.raises(SetupError, match="a random adapter does not fit this base"):
        Publisher(tmp_path, foreign, publisher.base).draft(0)
