"""An adapter's config as PEFT has it, read with the same leniency as everywhere else here.

PEFT takes numbers only as numbers and types only in its own spelling, and no byte order mark. It is
given the config that the rest of the merge goes by. Loads PEFT only to do so.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lorabay.files.adapter_folder import CONFIG_FILE, read_config
from lorabay.formats.config.config_values import normalised
from lorabay.reasons import Rejected
from lorabay.tools.find_adapter import LIMITS


def peft_config(folder: Path) -> Any:
    """Return the config of the adapter in `folder`. Raise ValueError, and what PEFT raises."""
    from peft import PeftConfig

    stated = read_config(folder, LIMITS)
    if isinstance(stated, Rejected):
        raise ValueError(stated.line)

    # Through a file: only so does PEFT pass over the fields of a later version.
    with TemporaryDirectory(prefix="lorabay-") as made:
        (Path(made) / CONFIG_FILE).write_text(json.dumps(normalised(stated)), encoding="utf-8")
        return PeftConfig.from_pretrained(made)
