"""The folder of one stored version: how it is made, and what is read of it.

    versions/<weights>/   adapter_config.json, adapter_model.safetensors, manifest.json,
                          and output_scales.safetensors for DoRA
    versions/<digest>/    defaults.json and manifest.json, of a version with defaults of its own
    versions/<weights>/   the files of a whole model, and manifest.json

A version without defaults is its weights. One with defaults has a small folder of its own, whose
manifest names the weights that it shares; it is whole if they are. A manifest holds the spec and
the sizes of the other files. Knows nothing of locks, or of how a folder appears and goes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

from lorabay.catalog.adapter_defaults import NO_DEFAULTS, AdapterDefaults
from lorabay.catalog.admission import inspect
from lorabay.catalog.canonical import measure
from lorabay.catalog.defaults.defaults_json import as_json, from_json
from lorabay.catalog.digests import version_digest
from lorabay.catalog.versions import AdapterSpec, Digest
from lorabay.catalog.whole_model import MODELS_OFF, inspect_model
from lorabay.files import durable
from lorabay.files.adapter_folder import CONFIG_FILE, SCALES_FILE
from lorabay.files.folder_read import FolderRead
from lorabay.files.model_folder import copy_model
from lorabay.files.side_files import SETTINGS_FILE, copy_side_files
from lorabay.reasons import Rejected, rejected

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.catalog.admission import Checks

MANIFEST_FILE = "manifest.json"
DEFAULTS_FILE = "defaults.json"

LAYOUT = 1
"""Version of the manifest's form for weights; versions of an unknown layout count as absent."""

SHARING_LAYOUT = 2
"""The same for versions that share the weights in another folder."""

MODEL_LAYOUT = 3
"""The same for whole models, which servers of before them take for absent."""

WEIGHTS_LAYOUTS = (LAYOUT, MODEL_LAYOUT)
"""Those of folders that hold weights."""

BUFFER_BYTES = 1 << 20
"""Bytes that are handed to the system at a time: a tensor may have few."""

BASES_NOTED = 16
"""Bases that a manifest names at most, the newest of them."""


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """What is noted of one version beside its tensors.

    `bases` are the identities of the bases that it is right over, if it depends on their weights.
    """

    spec: AdapterSpec
    defaults: AdapterDefaults
    bases: tuple[str, ...]
    content: dict[str, Any]

    @property
    def weights(self) -> Digest:
        """The digest of its weights, whose folder holds the tensors."""
        return self.spec.weights

    @property
    def has_scales(self) -> bool:
        """Whether outputs are scaled, by factors that are right for some bases only."""
        return SCALES_FILE in self.content["files"]

    @property
    def is_of_bases(self) -> bool:
        """Whether it is right over some bases only: for its scales, or by its manifest."""
        return self.has_scales or "bases" in self.content


@dataclass(frozen=True, slots=True)
class Made:
    """A version that is written and not yet visible.

    `weights` is the folder of its tensors, and `sharing` its own, if it has defaults.
    """

    spec: AdapterSpec
    defaults: AdapterDefaults
    weights: Path
    sharing: Path | None

    def sync(self) -> None:
        """Wait until all of it is on disk."""
        durable.sync_tree(self.weights)
        if self.sharing is not None:
            durable.sync_tree(self.sharing)


def make(
    source: Path,
    work: Path,
    checks: Checks,
    read: FolderRead | None = None,
    *,
    of_base: bool = False,
) -> Made | Rejected:
    """Make a version from a private copy, below `work`. Raises Stopped when `read` is to end.

    `of_base` says that the copy is right over the base's present weights only, whatever it holds.
    """
    read = read or FolderRead()
    canonical = inspect(source, checks)
    if isinstance(canonical, Rejected):
        return canonical

    folder = work / "weights"
    folder.mkdir()

    def create(name: str) -> BinaryIO:
        return (folder / name).open("xb", BUFFER_BYTES)

    spec = measure(canonical, create, read.step, largest=checks.largest)
    if isinstance(spec, Rejected):
        return spec
    (folder / CONFIG_FILE).write_text(json.dumps(canonical.config, indent=2) + "\n")

    # Output scales are right for the weights that they were computed from only. Of an adapter that
    # depends on no base, equal tensors are taken for these all the same, which is the safe way.
    bases: dict[str, Any] = {}
    is_bound = bool(canonical.scales) or canonical.of_base or of_base
    if is_bound and checks.base_weights is not None:
        bases["bases"] = [checks.base_weights.identity]
    _finish(folder, {"layout": LAYOUT, "spec": _fields_of_weights(spec)} | bases)

    if canonical.defaults == NO_DEFAULTS:
        return Made(spec, NO_DEFAULTS, folder, None)
    return Made(spec, canonical.defaults, folder, _make_sharing(spec, canonical.defaults, work))


def make_model(
    source: Path, work: Path, checks: Checks, roots: tuple[Path, ...], read: FolderRead
) -> Made | Rejected:
    """Make a version of the whole model in `source`, below `work`.

    The copy that is checked is the one that is stored: a model is written once.
    """
    if checks.models is None:
        return rejected([MODELS_OFF])

    folder = work / "weights"
    folder.mkdir()
    copied = copy_model(source, folder, roots=roots, read=read)
    if isinstance(copied, Rejected):
        return copied
    settings = copy_side_files(source, folder, roots=roots, read=read, names=(SETTINGS_FILE,))
    reasons = list(settings)
    read.step()

    model = inspect_model(folder, Digest(copied), checks.models, checks.tokenizer)
    if isinstance(model, Rejected):
        return rejected([*reasons, *model.reasons])
    if reasons:
        return rejected(reasons)

    # What it says is in the version's defaults from here on.
    (folder / SETTINGS_FILE).unlink(missing_ok=True)
    _finish(folder, {"layout": MODEL_LAYOUT, "spec": _fields_of_weights(model.spec)})
    if model.defaults == NO_DEFAULTS:
        return Made(model.spec, NO_DEFAULTS, folder, None)
    return Made(model.spec, model.defaults, folder, _make_sharing(model.spec, model.defaults, work))


def _make_sharing(spec: AdapterSpec, defaults: AdapterDefaults, work: Path) -> Path:
    folder = work / "sharing"
    folder.mkdir()
    (folder / DEFAULTS_FILE).write_text(json.dumps(as_json(defaults), indent=2) + "\n")
    _finish(folder, {"layout": SHARING_LAYOUT, "spec": asdict(spec)})
    return folder


def _fields_of_weights(spec: AdapterSpec) -> dict[str, Any]:
    """Return the spec of weights alone, as servers of before defaults wrote and still read it."""
    fields = asdict(replace(spec, digest=spec.weights))
    del fields["weights_digest"]
    return fields


def _finish(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest, and make all files read-only."""
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
    (folder / MANIFEST_FILE).write_text(_text(manifest | {"files": sizes}))
    for name in (*sizes, MANIFEST_FILE):
        (folder / name).chmod(0o444)


def read(versions: Path, digest: Digest) -> StoredVersion | None:
    """Return what is noted of a version; None if it is certainly absent, or lacks bytes.

    `versions` is the folder of all. Raises OSError if the disk does not say.
    """
    folder = versions / digest
    try:
        content = json.loads((folder / MANIFEST_FILE).read_bytes())
        sizes = {file: (folder / file).stat().st_size for file in content["files"]}
        if sizes != content["files"]:
            return None

        spec = _spec(content["spec"])
        if content["layout"] in WEIGHTS_LAYOUTS:
            bases = tuple(content.get("bases", ()))
            return StoredVersion(spec, NO_DEFAULTS, bases, content)
        if content["layout"] == SHARING_LAYOUT:
            return _read_sharing(versions, digest, spec, content)
        return None
    except (FileNotFoundError, NotADirectoryError):
        # Absent, unless the whole folder of versions is away: then nobody knows.
        versions.stat()
        return None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def has_scales(weights: Path) -> bool:
    """Return whether the weights in a folder come with output scales, without reading anything.

    Raises OSError if the disk does not say.
    """
    try:
        (weights / SCALES_FILE).stat()
    except FileNotFoundError:
        # As in `read`: the whole folder of versions may be away.
        weights.parent.stat()
        return False
    return True


def _spec(fields: dict[str, Any]) -> AdapterSpec:
    # JSON has no tuples: it turned these fields into lists.
    tuples = {key: tuple(fields[key]) for key in ("modules", "warnings")}
    weights = fields.get("weights_digest") or fields["digest"]
    return AdapterSpec(**fields | tuples | {"weights_digest": weights})


def _read_sharing(
    versions: Path, digest: Digest, spec: AdapterSpec, content: dict[str, Any]
) -> StoredVersion | None:
    defaults = from_json(json.loads((versions / digest / DEFAULTS_FILE).read_bytes()))
    weights = Digest(spec.weights_digest or "")
    # Also against a file that has another content of the same size.
    if weights == digest or version_digest(weights, defaults) != digest:
        return None

    shared = read(versions, weights)
    if shared is None or shared.content["layout"] not in WEIGHTS_LAYOUTS:
        return None
    return StoredVersion(spec, defaults, shared.bases, content)


def weights_of(versions: Path, digest: Digest) -> Digest | None:
    """Return the weights that a version shares, or its own digest; None if it is not there.

    Looks into its manifest only. Raises OSError if the disk does not say.
    """
    try:
        content = json.loads((versions / digest / MANIFEST_FILE).read_bytes())
        return Digest(content["spec"].get("weights_digest") or digest)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # damaged, so that nobody can use what it shares


def add_bases(folder: Path, stored: StoredVersion, new: list[str]) -> None:
    """Note in the manifest of stored weights further bases that they are right for."""
    bases = tuple(dict.fromkeys((*new, *stored.bases)))[:BASES_NOTED]
    if set(bases) == set(stored.bases):
        return

    with durable.replacing(folder / MANIFEST_FILE) as partial:
        partial.write_text(_text(stored.content | {"bases": list(bases)}))
        partial.chmod(0o444)


def bases_of(made: Path) -> list[str]:
    """Return the bases that weights which were just made are right for."""
    bases: list[str] = json.loads((made / MANIFEST_FILE).read_bytes()).get("bases", [])
    return bases


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"
