"""The adapter that a command line names: a folder, a name, or `name@digest` in the store.

A version of the store becomes readable like any adapter. It is held while it is used, so that no
server removes it, and its output scales become updates. This module does not know the tools.
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
from lorabay.catalog.composite.composite_file import is_composite
from lorabay.catalog.names import AdapterName, name_problems
from lorabay.catalog.records import Records
from lorabay.catalog.store import Store
from lorabay.catalog.versions import DIGEST_PREFIX, Digest
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import (
    CONFIG_FILE,
    SCALES_FILE,
    WEIGHTS_FILE,
    Limits,
    Unreadable,
    open_source,
    read_small,
)
from lorabay.files.real_paths import real_path
from lorabay.files.safetensors_header import TensorInfo, read_header
from lorabay.files.side_files import SIDE_FILES
from lorabay.files.tensors import from_bytes
from lorabay.formats.reading import AdapterUpdates, read_updates
from lorabay.formats.trainers.folder_contents import contents_of
from lorabay.reasons import Rejected, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from lorabay.algebra.updates import Load, Update
    from lorabay.base.shapes import BaseShapes
    from lorabay.catalog.versions import Version
    from lorabay.formats.base_copies import Comparison

LIMITS = Limits(header_bytes=100 << 20, weights_bytes=1 << 50)
"""Limits for adapters that the user of a tool has chosen. A server's are lower: they protect it
from strangers."""

CARD = "README.md"
"""Description of an adapter for people. Adapters that are made from it keep it."""

_READ_BYTES = 1 << 20
_CARD_BYTES = 64 << 20

_READABLE = frozenset({"foreign_format", "pickle", "weights_missing"})
"""Codes of contents that some tool can read, or say more of."""


@dataclass(frozen=True, slots=True)
class ChosenAdapter:
    """A readable adapter."""

    name: str

    folder: Path
    """Folder of its config and weights."""

    origin: Path
    """Folder of everything else that came with it, for example a tokenizer."""

    version: Version | None = None
    """The version that it is, if it was named by `name@digest`."""

    @classmethod
    def at(cls, folder: Path) -> ChosenAdapter:
        """Return the adapter in a folder, without looking into it."""
        return cls(real_path(folder).name, folder, folder)

    def updates(
        self,
        base: BaseShapes,
        *,
        initial: Path | None = None,
        residual_base: bool = False,
        comparison: Comparison | None = None,
    ) -> AdapterUpdates | Rejected:
        """Return its updates of the base, after the output scales of a version.

        `initial`, `residual_base` and `comparison` are those of `formats.reading`. An adapter that
        was trained on another base gets a warning that says so.
        """
        read = read_updates(
            self.folder,
            base,
            LIMITS,
            initial=initial,
            residual_base=residual_base,
            comparison=comparison,
        )
        if isinstance(read, Rejected):
            return read

        read = with_base_warning(read, base)
        return replace(read, updates=self._scaled(read.updates))

    def scales(self) -> dict[str, Load]:
        """Return module -> factors of its outputs. Only versions made from DoRA have any.

        Raise SetupError if their file cannot be read.
        """
        path = self.folder / SCALES_FILE
        try:
            with open_source(path, LIMITS.weights_bytes) as file:
                tensors = read_header(file, max_bytes=_READ_BYTES)
        except Unreadable as problem:
            if isinstance(problem.__cause__, FileNotFoundError | NotADirectoryError):
                return {}
            raise SetupError(f"{self.folder} cannot be used: {problem.reason}") from problem
        except OSError as error:
            raise SetupError(f"{path} cannot be read: {error.strerror}") from error
        if isinstance(tensors, Rejected):
            raise SetupError(f"{path} cannot be used: {tensors.reasons[0]}")

        scales: dict[str, Load] = {}
        for tensor in tensors:
            scales[tensor.name.removesuffix(".scale")] = partial(_read_tensor, path, tensor)
        return scales

    def _scaled(
        self, updates: Mapping[str, tuple[Update, ...]]
    ) -> Mapping[str, tuple[Update, ...]]:
        """Return `updates`, each after the scale of its module's outputs."""
        scaled = dict(updates)
        for module, load in self.scales().items():
            name = f"{module}.weight"
            # They scale the outputs of the base, before the adapter adds to them.
            scaled[name] = (Gated(partial(_column, load)), *updates.get(name, ()))
        return scaled

    def digest(self) -> str:
        """Return the sha256 of the files as they are. Raise SetupError if they cannot be read."""
        digest = hashlib.sha256()
        for name in (CONFIG_FILE, WEIGHTS_FILE, SCALES_FILE):
            path = self.folder / name
            if name == SCALES_FILE and not path.exists():
                continue
            try:
                with path.open("rb") as file:
                    # The size frames each file: no bytes can move from one to the next unseen.
                    digest.update(f"{name} {os.fstat(file.fileno()).st_size}\n".encode())
                    while chunk := file.read(_READ_BYTES):
                        digest.update(chunk)
            except OSError as error:
                raise SetupError(f"{path} cannot be read: {error.strerror}") from error
        return digest.hexdigest()

    def copy_card(self, target: Path) -> None:
        """Copy the adapter's card, and what it says about its use, into the folder `target`.

        What it does not have is not copied. Raise SetupError if a file cannot be read, and OSError
        if one cannot be written.
        """
        for name in (CARD, *SIDE_FILES):
            path = self.origin / name
            try:
                limit = SIDE_FILES.get(name, _CARD_BYTES)
                content = read_small(path, limit) if path.is_file() else None
            except Unreadable as problem:
                raise SetupError(f"{self.origin} cannot be used: {problem.reason}") from problem
            if content is not None:
                (target / name).write_bytes(content)


def with_base_warning(read: AdapterUpdates, base: BaseShapes) -> AdapterUpdates:
    """Return the adapter with a warning if it was trained on another base."""
    foreign = foreign_base(read.base_model, base)
    return replace(read, warnings=(*read.warnings, foreign)) if foreign else read


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
def find_adapter(adapter: str, directory: Path, store: Path) -> Iterator[ChosenAdapter]:
    """Yield the adapter that `adapter` names; it stays readable while the block lasts.

    `directory` holds adapters by name, `store` their versions. Raise SetupError if there is none.
    """
    with ExitStack() as stack:
        yield _find(adapter, directory, store, stack)


def _find(adapter: str, directory: Path, store: Path, stack: ExitStack) -> ChosenAdapter:
    folder = Path(adapter)
    # A separator means a path, also if there is no such folder.
    if os.sep in adapter or _is_folder(folder):
        _check_folder(folder)
        return ChosenAdapter.at(folder)

    name, at, prefix = adapter.partition("@")
    if name_problems(name):
        raise SetupError(
            f"there is no folder {quoted(adapter)}, and it cannot be the name of an adapter"
        )
    if at:
        try:
            version = _hold_version(AdapterName(name), prefix, store, stack)
        except OSError as error:
            raise SetupError(f"the store {store} cannot be read: {error.strerror}") from error
        return ChosenAdapter(adapter, version.path, version.path, version)

    folder = directory / name
    if not _is_folder(folder):
        raise SetupError(
            f"there is no adapter {quoted(name)}: neither a folder here nor one in {directory}"
        )
    _check_folder(folder)
    return ChosenAdapter(name, folder, folder)


def _is_folder(path: Path) -> bool:
    # An OSError means a name that is too long, or one in a folder that may not be entered.
    with suppress(OSError, ValueError):
        return path.is_dir()
    return False


def _check_folder(folder: Path) -> None:
    """Raise SetupError if `folder` does not hold an adapter that may be read."""
    try:
        if not folder.is_dir():
            # For a folder that is missing or a loop of links, this error says why.
            folder.stat()
            raise SetupError(f"the adapter {folder} is no folder")
        if is_composite(folder):
            raise SetupError(
                f"{folder} is a composite; build the adapter with `lorabay combine` and pass that"
            )
        os.scandir(folder).close()
        (folder / CONFIG_FILE).stat()
    except FileNotFoundError as error:
        _check_contents(folder, error)
    except OSError as error:
        raise SetupError(
            f"the adapter in {folder} cannot be read: {error.strerror}: {error.filename}"
        ) from error


def _check_contents(folder: Path, error: FileNotFoundError) -> None:
    """Raise SetupError for a folder without a config, unless it holds an adapter in another form,
    of which its reader says the rest.
    """
    try:
        contents = contents_of(folder)
    except OSError:
        contents = None
    if contents is None:
        raise SetupError(
            f"the adapter in {folder} cannot be read: {error.strerror}: {error.filename}"
        ) from error
    if contents.reason.code not in _READABLE:
        raise SetupError(f"{folder} holds no adapter: {contents.reason}") from error


def _hold_version(name: AdapterName, prefix: str, root: Path, stack: ExitStack) -> Version:
    """Return the one version of that name whose digest begins with `prefix`.

    The store holds it until `stack` is closed. Raise SetupError, and OSError.
    """
    if len(prefix) < DIGEST_PREFIX:
        raise SetupError(
            f"{quoted(prefix)} is too short for a digest: give at least {DIGEST_PREFIX} of its "
            "characters"
        )
    if not (root / "versions").is_dir():
        raise SetupError(f"there is no store in {root}; pass --store")

    digests = _recorded_digests(name, root / "records")
    matching = [digest for digest in digests if digest.startswith(prefix)]
    store = stack.enter_context(Store.open(root))
    version = store.get(name, Digest(matching[0])) if len(matching) == 1 else None
    if version is None:
        raise SetupError(f"the store {root} has no version {quoted(prefix)} of {quoted(name)}")
    return version


def _recorded_digests(name: AdapterName, records: Path) -> set[str]:
    """Return the digests that any server over this store has recorded under `name`.

    Each pair of adapter directory and base has records of its own.
    """
    if not records.is_dir():
        return set()

    digests: set[str] = set()
    for folder in records.iterdir():
        record = Records(folder).load().get(name) if folder.is_dir() else None
        if record is not None:
            digests.update(digest for digest in (*record.kept, record.source_digest) if digest)
    return digests
