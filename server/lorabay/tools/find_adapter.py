"""Which adapter a command line means: a folder, a name in the adapter directory, or `name@digest`
in the store.

Owns what makes a version of the store readable like any adapter: it is held so that no server
removes it meanwhile, and its output scales become updates. Knows nothing of what is done with the
adapter.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.algebra.updates import Gated
from lorabay.catalog.admission import foreign_base
from lorabay.catalog.composite import is_composite
from lorabay.catalog.names import AdapterName, name_problems
from lorabay.catalog.records import Records
from lorabay.catalog.store import Store
from lorabay.catalog.versions import DIGEST_PREFIX, Digest
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import CONFIG_FILE, SCALES_FILE, WEIGHTS_FILE, Limits
from lorabay.files.real_paths import real_path
from lorabay.files.safetensors_header import TensorInfo, read_header
from lorabay.files.tensors import from_bytes
from lorabay.formats.reading import AdapterUpdates, read_updates
from lorabay.reasons import Rejected, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from lorabay.algebra.updates import Load, Update
    from lorabay.base.shapes import BaseShapes
    from lorabay.catalog.versions import Version

LIMITS = Limits(header_bytes=100 << 20, weights_bytes=1 << 50)
"""For adapters that were chosen by the one who runs a tool; those of the server protect it from
strangers.
"""
_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class AdapterSource:
    """A readable adapter. `folder` has its config and weights, `origin` whatever else came with it.

    `version` is set for one of the store.
    """

    name: str
    folder: Path
    origin: Path
    version: Version | None = None

    @classmethod
    def at(cls, folder: Path) -> AdapterSource:
        """The adapter in a folder that was not looked up."""
        return cls(real_path(folder).name, folder, folder)

    def updates(
        self, base: BaseShapes, *, initial: Path | None = None, residual_base: bool = False
    ) -> AdapterUpdates | Rejected:
        """What it does to the base, as `catalog.adapter_updates` reads it, after a version's output
        scales.

        One that was trained on another base has a warning that says so.
        """
        found = read_updates(
            self.folder, base, LIMITS, initial=initial, residual_base=residual_base
        )
        if isinstance(found, Rejected):
            return found
        foreign = foreign_base(found.base_model, base)
        warnings = (*found.warnings, *([foreign] if foreign else []))
        return replace(found, updates=self.scaled(found.updates), warnings=warnings)

    def scales(self) -> dict[str, Load]:
        """Module -> factors of its outputs, in a version of the store that was made from DoRA; else
        none.
        """
        path = self.folder / SCALES_FILE
        try:
            with path.open("rb") as file:
                tensors = read_header(file, max_bytes=_READ)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise SetupError(f"{path} cannot be read: {error.strerror}") from error
        if isinstance(tensors, Rejected):
            raise SetupError(f"{path} cannot be used: {tensors.reasons[0]}")
        return {
            tensor.name.removesuffix(".scale"): partial(_read_tensor, path, tensor)
            for tensor in tensors
        }

    def scaled(self, updates: Mapping[str, tuple[Update, ...]]) -> Mapping[str, tuple[Update, ...]]:
        """`updates` after the outputs of the base have been scaled."""
        gates = {
            f"{module}.weight": (Gated(partial(_column, load)),)
            for module, load in self.scales().items()
        }
        return {name: gates.get(name, ()) + updates.get(name, ()) for name in [*updates, *gates]}

    def digest(self) -> str:
        """sha256 over the files as they are. Raises SetupError when they cannot be read."""
        found = hashlib.sha256()
        for name in (CONFIG_FILE, WEIGHTS_FILE, SCALES_FILE):
            path = self.folder / name
            if name == SCALES_FILE and not path.exists():
                continue
            try:
                with path.open("rb") as file:
                    found.update(f"{name} {os.fstat(file.fileno()).st_size}\n".encode())
                    while chunk := file.read(_READ):
                        found.update(chunk)
            except OSError as error:
                raise SetupError(f"{path} cannot be read: {error.strerror}") from error
        return found.hexdigest()


def _column(load: Load) -> NDArray[np.float32]:
    return load()[:, None]


def _read_tensor(path: Path, tensor: TensorInfo) -> NDArray[np.float32]:
    try:
        with path.open("rb") as file:
            file.seek(tensor.start)
            data = file.read(tensor.end - tensor.start)
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}") from error
    return from_bytes(data, tensor).as_float32()


@contextmanager
def find_adapter(adapter: str, directory: Path, store: Path) -> Iterator[AdapterSource]:
    """The adapter that `adapter` names, as long as the block lasts. Raises SetupError when there is
    none.
    """
    with ExitStack() as stack:
        yield _find(adapter, directory, store, stack)


def _find(adapter: str, directory: Path, store: Path, stack: ExitStack) -> AdapterSource:
    folder = Path(adapter)
    if os.sep in adapter or _is_folder(folder):
        _check_folder(folder)
        return AdapterSource.at(folder)
    name, at, prefix = adapter.partition("@")
    if name_problems(name):
        raise SetupError(
            f"there is no folder {quoted(adapter)}, and it cannot be the name of an adapter"
        )
    if at:
        try:
            version = _version(AdapterName(name), prefix, store, stack)
        except OSError as error:
            raise SetupError(f"the store {store} cannot be read: {error.strerror}") from error
        return AdapterSource(adapter, version.path, version.path, version)
    folder = directory / name
    if not _is_folder(folder):
        raise SetupError(
            f"there is no adapter {quoted(name)}: neither a folder here nor one in {directory}"
        )
    _check_folder(folder)
    return AdapterSource(name, folder, folder)


def _is_folder(path: Path) -> bool:
    with suppress(OSError, ValueError):  # a name too long, or in a folder that may not be entered
        return path.is_dir()
    return False


def _check_folder(folder: Path) -> None:
    try:
        if not folder.is_dir():
            folder.stat()
            raise SetupError(f"the adapter {folder} is no folder")
        if is_composite(folder):
            raise SetupError(
                f"{folder} is a composite; build the adapter with `lorabay combine` and pass that"
            )
        os.scandir(folder).close()
        (folder / CONFIG_FILE).stat()
    except OSError as error:
        raise SetupError(
            f"the adapter in {folder} cannot be read: {error.strerror}: {error.filename}"
        ) from error


def _version(name: AdapterName, prefix: str, root: Path, stack: ExitStack) -> Version:
    """The version of that name in the store, held until the stack is closed."""
    if len(prefix) < DIGEST_PREFIX:
        raise SetupError(
            f"{quoted(prefix)} is too short for a digest: give at least {DIGEST_PREFIX} of its characters"
        )
    if not (root / "versions").is_dir():
        raise SetupError(f"there is no store in {root}; pass --store")
    fitting = sorted(
        digest for digest in _known(name, root / "records") if digest.startswith(prefix)
    )
    store = stack.enter_context(Store.open(root))
    version = store.get(name, Digest(fitting[0])) if len(fitting) == 1 else None
    if version is None:
        raise SetupError(f"the store {root} has no version {quoted(prefix)} of {quoted(name)}")
    return version


def _known(name: AdapterName, records: Path) -> set[str]:
    """The versions that any server over this store knows under that name; each pair of adapter
    directory and base has records of its own."""
    folders = (
        [folder for folder in records.iterdir() if folder.is_dir()] if records.is_dir() else []
    )
    found = [Records(folder).load().get(name) for folder in folders]
    return {
        digest
        for record in found
        if record
        for digest in (*record.kept, record.source_digest)
        if digest
    }
