"""A composite folder becomes one adapter, or every reason why not; it touches nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.catalog.admission import Checks
from lorabay.catalog.composite import assembly, weighted_sum
from lorabay.catalog.composite.assembly import Assembly
from lorabay.catalog.composite.composite_file import PARTS_AT_MOST
from lorabay.catalog.names import AdapterName
from lorabay.catalog.store import Store
from lorabay.catalog.versions import Version
from lorabay.files.adapter_folder import Limits
from lorabay.files.folder_read import FolderRead, Stopped
from lorabay.formats.reading import AdapterUpdates, read_updates
from lorabay.reasons import Rejected
from tests import making
from tests.nobody import as_nobody


def members(root: Path, **ranks: int) -> None:
    for seed, (name, rank) in enumerate(ranks.items()):
        tensors = making.lora_tensors(rank=rank, seed=seed)
        making.make_adapter(root / name, config=making.lora_config(r=rank), tensors=tensors)


def composite(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "composite.toml").write_text(text)
    return folder


def of(*names: str, **fields: object) -> str:
    head = "\n".join(f"{name} = {value!r}" for name, value in fields.items())
    return head + "".join(f"\n[[members]]\nadapter = {name!r}" for name in names)


def take(root: Path, name: str, base: BaseShapes) -> Rejected | None:
    out = root.parent / "out"
    out.mkdir()
    return Assembly(base, (root.resolve(),), Limits()).take(root / name, out)


def test_a_composite_is_stored_as_one_version(tmp_path: Path, store: Store, checks: Checks) -> None:
    """Ranks add up, the members stay as they were, and the digest is always the same."""
    root = tmp_path / "adapters"
    members(root, one=4, two=6)
    folder = composite(root / "both", of("one", "two", method="cat"))
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    version = store.ingest(folder, AdapterName("both"), checks, roots=(root,))
    assert isinstance(version, Version), version
    assert (version.spec.rank, version.spec.format) == (10, "lora")
    again = store.ingest(folder, AdapterName("both"), checks, roots=(root,))
    assert again == version
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_composites_may_hold_composites(tmp_path: Path, base: BaseShapes) -> None:
    """A composite may contain others down to a certain depth."""
    root = tmp_path / "adapters"
    members(root, one=2, two=3)
    composite(root / "inner", of("one", "two", method="cat"))
    composite(root / "outer", of("inner", "two", method="svd"))
    assert take(root, "outer", base) is None


REFUSED = {
    "no member": (of(method="cat"), {"composite"}),
    "unknown method": (of("one", method="sum"), {"composite"}),
    "unknown field": (of("one", metod="cat"), {"composite"}),
    "no density": (of("one", "two", method="ties"), {"composite"}),
    "density of a method without": (of("one", "two", method="cat", density=0.5), {"composite"}),
    "rank of a method without": (of("one", "two", method="cat", rank=4), {"composite"}),
    "density over 1": (of("one", "two", method="ties", density=1.5), {"composite"}),
    "no TOML": ("method = = 3", {"composite"}),
    "no UTF-8": ("method = '\udcff'", {"composite"}),
    "infinite weight": (of("one") + "\nweight = inf", {"composite"}),
    "too many members": (of(*["one"] * 17), {"composite"}),
    "missing member": (of("one", "three"), {"member_missing"}),
    "member outside": (of("one", "../../elsewhere"), {"link_outside"}),
    "absolute member outside": (of("one", "/etc"), {"link_outside"}),
    "member that is a file": (of("one", "file"), {"member_missing"}),
    "member with a NUL byte": ('[[members]]\nadapter = "a\\u0000b"', {"member_missing"}),
    "member that links to itself": (of("one", "loop"), {"member_missing"}),
    "broken member": (of("one", "broken"), {"config_not_json"}),
    "itself": (of("one", "mix"), {"composite_cycle"}),
    "cycle": (of("one", "round"), {"composite_cycle"}),
    "two ranks": (of("one", "wide", method="linear"), {"rank"}),
    "another base": (of("one", "foreign"), {"foreign_base"}),
    "member that is no product": (of("one", "gates"), {"member_format"}),
    "member with a regular expression": (of("one", "regex"), {"pattern"}),
    "member that holds NaN": (of("one", "nan"), {"not_finite"}),
    "sum that is infinite": (of("one", "huge", method="cat") + "\nweight = 1000.0", {"not_finite"}),
    "sum that has no decomposition": (
        of("one", "huge", method="svd") + "\nweight = 1000.0",
        {"not_finite"},
    ),
    "several": (of("three", "broken"), {"member_missing", "config_not_json"}),
}


def bad_members(tmp_path: Path) -> Path:
    """Make two good members, and one of every kind that cannot be used."""
    root = tmp_path / "adapters"
    members(root, one=4, two=4, wide=8, broken=4)
    (root / "broken" / "adapter_config.json").write_text("no JSON")
    (root / "file").write_text("")
    (root / "loop").symlink_to(root / "loop")
    (tmp_path / "elsewhere").mkdir()
    making.make_adapter(
        root / "foreign", config=making.lora_config(base_model_name_or_path="acme/other")
    )
    making.make_adapter(root / "regex", config=making.lora_config(rank_pattern={"(?=a)b": 4}))
    gates = {
        f"{making.PREFIX}{module}.ia3_l": making.stored(making.np.ones((shape[0], 1)))
        for module, shape in making.MODULES.items()
        if module.endswith("v_proj")
    }
    ia3 = {
        "peft_type": "IA3",
        "target_modules": ["v_proj"],
        "base_model_name_or_path": making.BASE_NAME,
    }
    making.make_adapter(root / "gates", config=ia3, tensors=gates)
    tensors = making.lora_tensors()
    first = min(tensors)
    for name, value in (("nan", float("nan")), ("huge", 3e38)):
        tensors[first] = making.stored(making.np.full(tensors[first].shape, value))
        making.make_adapter(root / name, tensors=tensors)
    return root


@pytest.mark.parametrize(("text", "codes"), REFUSED.values(), ids=REFUSED)
def test_a_bad_composite_is_refused_with_its_reasons(
    tmp_path: Path, base: BaseShapes, text: str, codes: set[str]
) -> None:
    """Every reason names the member on one line, and no copy of a member is left."""
    root = bad_members(tmp_path)
    folder = composite(root / "mix", "")
    composite(root / "round", of("mix"))
    (folder / "composite.toml").write_bytes(text.encode(errors="surrogateescape"))
    result = take(root, "mix", base)
    assert isinstance(result, Rejected), result
    assert result.codes == codes
    assert all("\n" not in reason.text for reason in result.reasons)
    assert not (tmp_path / "out" / "adapter_model.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("broken", "adapter_config.json is not valid JSON"),
        ("three", "there is no such folder"),
        ("nan", "holds NaN"),
        ("foreign", "trained on different bases"),
        ("gates", "make it one with `lorabay convert`"),
    ],
)
def test_the_member_is_named_with_its_problem(
    tmp_path: Path, base: BaseShapes, name: str, text: str
) -> None:
    """The reason says where a member lies that cannot be read."""
    root = bad_members(tmp_path)
    composite(root / "mix", of("one", name, method="cat"))
    result = take(root, "mix", base)
    assert isinstance(result, Rejected)
    (reason,) = result.reasons
    assert text in reason.text
    if name in {"broken", "three", "gates"}:
        assert reason.text.startswith(f"member {name!r} in {str(root / name)!r}: ")
    elif name == "nan":
        assert reason.text.startswith("member 'nan': ")


@pytest.mark.parametrize("spoiled", ["", "adapter_config.json", "adapter_model.safetensors"])
def test_a_member_that_may_not_be_read_is_blamed_itself(
    tmp_path: Path, base: BaseShapes, spoiled: str
) -> None:
    """A member that may not be read is a reason, not an error of writing."""
    root = tmp_path / "adapters"
    members(root, one=4, two=4)
    composite(root / "inner", of("two", "one", method="cat"))
    composite(root / "mix", of("one", "inner", method="cat"))
    (root / "two" / spoiled).chmod(0)
    with as_nobody(tmp_path):
        result = take(root, "mix", base)
    (root / "two" / spoiled).chmod(0o755)
    assert isinstance(result, Rejected)
    assert result.codes == {"unreadable"}
    assert f"member 'two' in {str(root / 'two')!r}: " in result.reasons[0].text
    assert "Permission denied" in result.reasons[0].text


def test_one_member_alone_is_scaled(tmp_path: Path, base: BaseShapes) -> None:
    """`linear` and `cat` of one member give its product times the weight."""
    root = tmp_path / "adapters"
    members(root, one=4)
    changes = []
    for method in ("linear", "cat"):
        composite(root / method, of("one", method=method) + "\nweight = -0.5")
        out = tmp_path / f"out-{method}"
        out.mkdir()
        assert Assembly(base, (root.resolve(),), Limits()).take(root / method, out) is None
        for folder in (out, root / "one"):
            found = read_updates(folder, base)
            assert isinstance(found, AdapterUpdates)
            ((product,),) = (
                found.updates[name] for name in ["model.layers.0.self_attn.q_proj.weight"]
            )
            changes.append(product.scale * product.b() @ product.a())
    linear, original, cat, _ = changes
    making.np.testing.assert_allclose(linear, -0.5 * original, rtol=1e-5, atol=1e-4)
    making.np.testing.assert_allclose(cat, -0.5 * original, rtol=1e-5, atol=1e-4)


def test_three_small_files_make_no_work_for_hours(
    tmp_path: Path, base: BaseShapes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen members of sixteen members are refused, and what is named again is not read again."""
    root = tmp_path / "adapters"
    members(root, one=1)
    for name, member in (("a", "b"), ("b", "c"), ("c", "one")):
        composite(root / name, of(*[member] * 16, method="cat"))
    copies: list[Path] = []
    really_copy = assembly.copy_adapter

    def note(folder: Path, *rest: Any, **options: Any) -> Rejected | None:
        copies.append(folder)
        return really_copy(folder, *rest, **options)

    monkeypatch.setattr(assembly, "copy_adapter", note)
    result = take(root, "a", base)
    assert isinstance(result, Rejected)
    assert result.codes == {"composite_size"}
    assert copies == [root / "one"]


def test_a_member_that_is_named_often_is_read_once(
    tmp_path: Path, base: BaseShapes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also through other composites, and by another path; the sum is the same."""
    root = tmp_path / "adapters"
    members(root, one=2, two=3)
    composite(root / "inner", of("one", "two", method="cat"))
    composite(root / "mix", of("inner", "one", "inner", "./../one", method="cat"))
    assert take(root, "mix", base) is None
    found = read_updates(tmp_path / "out", base)
    assert isinstance(found, AdapterUpdates)
    assert found.rank == 2 * (2 + 3) + 2 * 2
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }


def test_many_members_in_all_are_too_many(tmp_path: Path, base: BaseShapes) -> None:
    """However they are spread."""
    root = tmp_path / "adapters"
    names = [f"m{number}" for number in range(PARTS_AT_MOST + 1)]
    members(root, **dict.fromkeys(names, 1))
    groups = [names[start : start + 16] for start in range(0, len(names), 16)]
    for number, group in enumerate(groups):
        composite(root / f"group{number}", of(*group, method="cat"))
    composite(root / "all", of(*[f"group{number}" for number in range(len(groups))], method="cat"))
    result = take(root, "all", base)
    assert isinstance(result, Rejected)
    assert result.codes == {"composite_size"}


def test_a_build_that_nobody_waits_for_ends(
    tmp_path: Path, base: BaseShapes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two modules, and nothing is left of it."""
    root = tmp_path / "adapters"
    members(root, one=2, two=3)
    folder = composite(root / "mix", of("one", "two", method="cat"))
    read = FolderRead()
    really_combine = weighted_sum.combine

    def combine_once(*arguments: Any) -> Any:
        read.stop()
        return really_combine(*arguments)

    monkeypatch.setattr(weighted_sum, "combine", combine_once)
    (tmp_path / "out").mkdir()
    with pytest.raises(Stopped):
        Assembly(base, (root.resolve(),), Limits()).take(folder, tmp_path / "out", read)
    assert not (tmp_path / "out" / "adapter_model.safetensors").exists()


def test_a_composite_is_used_as_its_own_folder_says(
    tmp_path: Path, store: Store, checks: Checks
) -> None:
    """What the members say of their use is theirs."""
    root = tmp_path / "adapters"
    members(root, one=4, two=4)
    (root / "one" / "lorabay.toml").write_text('description = "one"')
    folder = composite(root / "both", of("one", "two", method="cat"))
    roots = (root.resolve(),)
    plain = store.ingest(folder, AdapterName("both"), checks, roots=roots)
    assert isinstance(plain, Version), plain
    assert plain.digest == plain.weights

    (folder / "lorabay.toml").write_text('description = "both"')
    described = store.ingest(folder, AdapterName("both"), checks, roots=roots)
    assert isinstance(described, Version), described
    assert described.defaults.description == "both"
    assert described.weights == plain.weights

    (folder / "lorabay.toml").write_text("x = 1")
    (folder / "chat_template.jinja").symlink_to("/etc/hostname")
    refused = store.ingest(folder, AdapterName("both"), checks, roots=roots)
    assert isinstance(refused, Rejected)
    assert refused.codes == {"link_outside"}
