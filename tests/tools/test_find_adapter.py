"""The adapter that a command line names, and versions of the store."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from lorabay import cli
from lorabay.base.shapes import BaseShapes
from lorabay.catalog.admission import Checks
from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import Records
from lorabay.catalog.store import Store
from lorabay.catalog.versions import Version
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import SCALES_FILE, Limits
from lorabay.merge.run import merge
from lorabay.tools.check import check
from lorabay.tools.combine import combine
from lorabay.tools.convert import ConvertSettings, convert
from lorabay.tools.find_adapter import ChosenAdapter, find_adapter
from lorabay.tools.inspection.inspection import inspect
from lorabay.tools.inspection.opened import open_adapter
from tests import making
from tests.making import values
from tests.merge.bases import (
    HIDDEN,
    all_tensors,
    make_base,
    make_lora,
    merge_settings,
    random_tensor,
)
from tests.nobody import as_nobody


@pytest.fixture
def stored(tmp_path: Path) -> Version:
    """A version of `finance` in a store whose server is gone; no folder has it."""
    base = make_base(tmp_path / "base")
    folder = make_lora(tmp_path / "adapter", dtype="BF16")
    with Store.open(tmp_path / "store") as store:
        version = store.ingest(folder, AdapterName("finance"), Checks(BaseShapes.read(base), 64))
    assert isinstance(version, Version)
    Records(tmp_path / "store" / "records" / "key").update(
        AdapterName("finance"), {"kept": (version.digest,)}
    )
    return version


def test_a_version_of_the_store(tmp_path: Path, stored: Version) -> None:
    """A version merges into the same model as the folder that it was made from."""
    assert merge(merge_settings(tmp_path, adapter=stored.id)).adapter == stored.id
    merge(merge_settings(tmp_path, output=tmp_path / "other"))
    assert all_tensors(tmp_path / "merged") == all_tensors(tmp_path / "other")


@pytest.mark.usefixtures("no_settings_in_environment")
def test_every_way_to_name_an_adapter(
    tmp_path: Path, stored: Version, capsys: pytest.CaptureFixture[str]
) -> None:
    """Folder, name in the directory, and version of the store merge into the same weights."""
    shutil.copytree(tmp_path / "adapter", tmp_path / "adapters" / "finance")
    ways = {str(tmp_path / "adapter"): "adapter", "finance": "finance", stored.id: stored.id}
    places = ["--base", str(tmp_path / "base"), "--no-verify", "--json", "--max-shard-size", "5kB"]
    places += ["--adapters", str(tmp_path / "adapters"), "--store", str(tmp_path / "store")]
    merged = []
    for number, (adapter, name) in enumerate(ways.items()):
        output = tmp_path / f"merged-{number}"
        assert cli.run(["merge", adapter, "-o", str(output), *places]) == 0
        assert json.loads(capsys.readouterr().out)["adapter"] == name
        assert len(list(output.glob("*.safetensors"))) > 2
        merged.append(all_tensors(output))
    assert merged[0] == merged[1] == merged[2]


def test_output_scales_of_a_version(tmp_path: Path, stored: Version) -> None:
    """Rows of the base are scaled before the product is added, as for DoRA in the store."""
    module, scale = "model.layers.0.self_attn.q_proj", random_tensor((HIDDEN,), 3, "F32")
    stored.path.chmod(0o755)
    making.save(stored.path / SCALES_FILE, {f"{module}.scale": scale})
    merge(merge_settings(tmp_path, adapter=stored.id, dtype="float32", verify=True))
    merge(merge_settings(tmp_path, output=tmp_path / "plain", dtype="float32"))
    name = f"{module}.weight"
    base, plain, scaled = (
        values(all_tensors(tmp_path / folder)[name]) for folder in ("base", "plain", "merged")
    )
    np.testing.assert_allclose(
        scaled, base * values(scale)[:, None] + (plain - base), rtol=1e-5, atol=1e-6
    )


def test_adapters_that_no_server_would_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Limits of a server are not limits of the tools: adapters of over 4 GiB could once be neither
    merged nor converted."""
    base, adapter = make_base(tmp_path / "base"), make_lora(tmp_path / "adapter")
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "composite.toml").write_text(
        'method = "cat"\n[[members]]\nadapter = "../adapter"\n'
    )
    monkeypatch.setattr(Limits.__init__, "__defaults__", (1 << 20, 10, 10))
    assert not check([adapter], base, max_rank=64)[0].servable
    assert merge(merge_settings(tmp_path)).changed_share
    assert convert(adapter, base, tmp_path / "converted", ConvertSettings()).exact
    assert combine(tmp_path / "both", base, tmp_path / "combined", roots=[tmp_path]).rank == 4
    report = inspect(open_adapter(ChosenAdapter.at(adapter), base))
    assert report.parameters
    assert "the limit is 10" in report.reasons[0]


@pytest.mark.parametrize(
    ("adapter", "text"),
    [
        ("nobody", "there is no adapter 'nobody'"),
        ("finance@abc", "too short for a digest"),
        (f"finance@{'0' * 12}", "has no version"),
        (f"nobody@{'0' * 12}", "has no version"),
        ("what?", "cannot be the name of an adapter"),
        ("no/such/folder", "cannot be read: No such file"),
    ],
)
@pytest.mark.usefixtures("stored")
def test_adapters_that_are_not_there(tmp_path: Path, adapter: str, text: str) -> None:
    """Each of them is one line that names the adapter."""
    settings = merge_settings(tmp_path, adapter=adapter)
    with (
        pytest.raises(SetupError, match=text),
        find_adapter(settings.adapter, settings.adapters, settings.store),
    ):
        pass


def test_without_a_store(tmp_path: Path) -> None:
    """A store that is not there is not made to look into it."""
    with (
        pytest.raises(SetupError, match="there is no store"),
        find_adapter(f"finance@{'0' * 12}", tmp_path, tmp_path / "store"),
    ):
        pass
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "closed", ["store/records", "store/versions", "store", "adapters", "adapters/finance"]
)
@pytest.mark.usefixtures("stored")
def test_places_that_may_not_be_entered(tmp_path: Path, closed: str) -> None:
    """A closed folder is one line; names in a closed directory count as missing."""
    shutil.copytree(tmp_path / "adapter", tmp_path / "adapters" / "finance")
    (tmp_path / closed).chmod(0)
    name = f"finance@{'0' * 12}" if closed.startswith("store") else "finance"
    with (
        as_nobody(tmp_path),
        pytest.raises(SetupError, match=r"cannot be|there is no"),
        find_adapter(name, tmp_path / "adapters", tmp_path / "store"),
    ):
        pass
    (tmp_path / closed).chmod(0o755)


def test_a_composite_is_no_adapter(tmp_path: Path) -> None:
    """The message says how it becomes an adapter."""
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "composite.toml").write_text("")
    with (
        pytest.raises(SetupError, match="lorabay combine"),
        find_adapter("both", tmp_path, tmp_path / "store"),
    ):
        pass


def test_a_card_is_copied_as_it_is(tmp_path: Path) -> None:
    """An adapter without a card gets none."""
    source, target = tmp_path / "a", tmp_path / "b"
    source.mkdir(), target.mkdir()
    adapter = ChosenAdapter.at(source)
    adapter.copy_card(target)
    assert not list(target.iterdir())

    (source / "README.md").write_bytes("Für Fragen.\r\n".encode())
    adapter.copy_card(target)
    assert (target / "README.md").read_bytes() == "Für Fragen.\r\n".encode()


def test_a_card_that_cannot_be_read_is_the_adapters_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was once reported as a problem of the output folder."""
    (tmp_path / "README.md").write_text("A card.")
    adapter = ChosenAdapter.at(tmp_path)
    with pytest.raises(FileNotFoundError):
        adapter.copy_card(tmp_path / "none")

    def refuse(path: Path, *_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(SetupError, match=r"README.md cannot be read: Permission denied"):
        adapter.copy_card(tmp_path)


def test_a_folder_without_an_adapter_says_where_one_was_seen(tmp_path: Path) -> None:
    """A run folder is no adapter; one in another form is for its reader to refuse."""
    making.make_adapter(tmp_path / "run" / "checkpoint-500")
    with (
        pytest.raises(SetupError, match="holds no adapter: an adapter lies further down"),
        find_adapter(str(tmp_path / "run"), tmp_path, tmp_path),
    ):
        pass

    (tmp_path / "mistral").mkdir()
    (tmp_path / "mistral" / "lora.safetensors").write_bytes(b"")
    with find_adapter(str(tmp_path / "mistral"), tmp_path, tmp_path) as found:
        assert found.folder == tmp_path / "mistral"

    (tmp_path / "logs").mkdir()
    with (
        pytest.raises(SetupError, match="cannot be read"),
        find_adapter(str(tmp_path / "logs"), tmp_path, tmp_path),
    ):
        pass


def test_what_an_adapter_says_of_its_use_goes_with_its_card(tmp_path: Path) -> None:
    """An adapter that is made from it is used alike; its tokenizer stays whole."""
    source, target = tmp_path / "a", tmp_path / "b"
    source.mkdir(), target.mkdir()
    (source / "lorabay.toml").write_text('tags = ["a"]')
    (source / "tokenizer.json").write_bytes(bytes(5 << 20))
    ChosenAdapter.at(source).copy_card(target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {
        "lorabay.toml": b'tags = ["a"]',
        "tokenizer.json": bytes(5 << 20),
    }


@pytest.mark.parametrize("name", [SCALES_FILE, "README.md"])
def test_a_fifo_is_not_waited_for(tmp_path: Path, name: str) -> None:
    """Scales in the place of which one lies are refused; it is no card."""
    adapter = make_lora(tmp_path / "adapter")
    os.mkfifo(adapter / name)
    chosen = ChosenAdapter.at(adapter)
    chosen.copy_card(tmp_path)
    assert not (tmp_path / name).exists()
    if name == SCALES_FILE:
        with pytest.raises(SetupError, match="is not a regular file"):
            chosen.scales()


def test_a_card_that_would_fill_the_memory(tmp_path: Path) -> None:
    """The line says how large it is."""
    adapter = make_lora(tmp_path / "adapter")
    (adapter / "README.md").touch()
    os.truncate(adapter / "README.md", 1 << 40)
    with pytest.raises(SetupError, match=r"README\.md has 1099511627776 bytes"):
        ChosenAdapter.at(adapter).copy_card(tmp_path)
