"""Where adapters that operators send are put, if anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.serving.uploads import FolderUploads, NoUploads
from lorabay.sources.locations import FOLDER, read_locations
from lorabay.sources.uploads.upload_folder import UploadFolder

if TYPE_CHECKING:
    from lorabay.serving.admin import NameChanges, Operations
    from lorabay.serving.uploads import Uploads
    from lorabay.settings import Settings

MIB = 1 << 20

OFF = "adapters cannot be sent to this server: start it with --upload-mib N to allow N MiB"
NO_FOLDER = (
    "adapters cannot be sent to this server: they come from {sources}, so put them there; "
    "or name a folder in --adapters as well"
)


def choose_uploads(
    settings: Settings, operations: Operations, changes: NameChanges | None = None
) -> Uploads:
    """Return the way in for adapters: into the first folder of `--adapters`, if there is one.

    `changes` has them served, `operations` itself by default.
    """
    if settings.upload_mib is None:
        return NoUploads(OFF)

    locations = read_locations(settings.adapters)
    folders = [location.rest for location in locations if location.kind == FOLDER]
    if not folders:
        return NoUploads(NO_FOLDER.format(sources=", ".join(map(str, locations))))
    folder = UploadFolder(Path(folders[0]))
    return FolderUploads(folder, operations, settings.upload_mib * MIB, changes)
