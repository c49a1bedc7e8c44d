"""Files that lie where PEFT's `adapter_model.safetensors` should: who left them, what to do.

`FOREIGN_FILES` is the one table, by name. What a file holds is for `trainers` to tell. Looks at no
folder itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lorabay.files.adapter_folder import WEIGHTS_FILE
from lorabay.formats.trainers import CONVERT
from lorabay.reasons import Reason, quoted

if TYPE_CHECKING:
    from collections.abc import Collection

_CONVERT_PICKLE = "make it a PEFT adapter with `lorabay convert FOLDER -o NEW --allow-pickle`"
_SHARDS = "save the adapter as a whole: let the trainer gather it and call save_pretrained"
_JOIN = "join the parts with `lorabay convert FOLDER -o NEW`"

PART = re.compile(r"adapter_model-(?P<number>\d+)-of-(?P<count>\d+)\.safetensors")
"""A part of weights that were split: transformers does so over a size, and PEFT reads no parts."""


@dataclass(frozen=True, slots=True)
class ForeignFile:
    """Files of one kind: a pattern of the whole name, and what such a file is, with what to do.

    A `readable` file holds tensors that `lorabay convert` can read. A `common` one may lie beside
    anything: it says what a folder is only if nothing else does.
    """

    name: re.Pattern[str]
    said: Reason
    readable: bool = False
    common: bool = False

    @property
    def usable(self) -> bool:
        """Whether a tool makes an adapter of it, rather than only saying what it is."""
        return "lorabay convert" in self.said.text

    def reason(self, name: str) -> Reason:
        """Return why a folder with this file in place of PEFT's is not served."""
        return replace(self.said, text=f"{quoted(name)} is {self.said.text}")


def _kind(
    code: str, what: str, advice: str, name: str, *, readable: bool = False, common: bool = False
) -> ForeignFile:
    said = Reason(code, f"{what}; {advice}")
    return ForeignFile(re.compile(name), said, readable, common)


FOREIGN_FILES: tuple[ForeignFile, ...] = (
    _kind(
        "foreign_format",
        "an adapter of mlx-lm",
        CONVERT,
        r"adapters\.safetensors",
        readable=True,
    ),
    _kind(
        "foreign_format",
        "an adapter of mistral-finetune",
        CONVERT,
        r"lora\.safetensors",
        readable=True,
    ),
    _kind(
        "foreign_format",
        "an adapter of torchtune",
        CONVERT,
        r"adapter_\d+\.safetensors",
        readable=True,
    ),
    _kind(
        "pickle",
        "a pickle, which can run code when it is read",
        _CONVERT_PICKLE,
        r"adapter_(?:model|\d+)\.(?:bin|pt|pth)",
    ),
    _kind(
        "foreign_format",
        "a part of an adapter that was split over several files",
        _JOIN,
        rf"{PART.pattern}|adapter_model\.safetensors\.index\.json",
    ),
    _kind(
        "foreign_format",
        "a checkpoint of mlx-lm",
        f"call the one to use adapters.safetensors, then {CONVERT}",
        r"\d+_adapters\.safetensors",
    ),
    _kind(
        "foreign_format",
        "an adapter of an early mlx-lm",
        "save it anew with a later mlx-lm",
        r"adapters?\.npz",
    ),
    _kind(
        "foreign_format",
        "an adapter of diffusers",
        "it is for a model of images, and no language model takes it",
        r"pytorch_lora_weights\.(?:safetensors|bin)",
    ),
    _kind(
        "foreign_format",
        "an adapter of AdapterHub's library, which is not PEFT's",
        "train a LoRA adapter with PEFT instead",
        r"pytorch_adapter\.bin|pytorch_model_head\.bin|model_head\.safetensors",
    ),
    _kind(
        "foreign_format",
        "an adapter of LitGPT",
        "merge it with `litgpt merge_lora`, convert the result with `litgpt convert_from_litgpt` "
        "and serve it as the base",
        r"lit_model\.pth(?:\.lora)?",
    ),
    _kind(
        "foreign_format",
        "an archive of NeMo",
        "export the adapter to Hugging Face's form with NeMo or Megatron Bridge",
        r".+\.nemo",
    ),
    _kind("foreign_format", "a part of a distributed checkpoint", _SHARDS, r".+\.distcp"),
    _kind("foreign_format", "left by a DeepSpeed checkpoint", _SHARDS, r"zero_to_fp32\.py"),
    _kind(
        "foreign_format",
        "a file of llama.cpp",
        "use the adapter that it was made from",
        r".+\.gguf",
        common=True,
    ),
    _kind(
        "whole_model",
        "a part of a whole model, not of an adapter",
        "serve it as the base with --base, or, with its config.json, beside the adapters with "
        "--max-models 1",
        r"model(?:-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json",
        common=True,
    ),
    _kind(
        "whole_model",
        "a part of a whole model as a pickle, which can run code when it is read",
        "save the model as safetensors, and serve it as the base with --base, or beside the "
        "adapters with --max-models 1",
        r"pytorch_model.*\.bin",
        common=True,
    ),
    _kind(
        "archive",
        "an archive",
        "unpack it",
        r".+\.(?:zip|tar|tgz|7z|rar|(?:tar|safetensors|bin|gguf)\.(?:gz|xz|bz2|zst))",
        common=True,
    ),
    _kind(
        "pickle",
        "a pickle under a name that PEFT does not give",
        "call it adapter_model.bin, and " + _CONVERT_PICKLE,
        r"(?i:.*(?:lora|adapter).*\.(?:bin|pt|pth|ckpt))",
        common=True,
    ),
    _kind(
        "weights_missing",
        "no name that PEFT gives",
        f"call the weights {WEIGHTS_FILE}",
        r".+\.safetensors",
        readable=True,
        common=True,
    ),
)
"""In this order; the first kind of which a folder has a file says what the folder is."""


def find_foreign(names: Collection[str], *, common: bool) -> tuple[ForeignFile, str] | None:
    """Return the first kind, of the common ones or of the others, with the file that is of it."""
    ordered = sorted(name for name in names if name != WEIGHTS_FILE)
    for kind in FOREIGN_FILES:
        if kind.common != common:
            continue
        found = next((name for name in ordered if kind.name.fullmatch(name)), None)
        if found is not None:
            return kind, found
    return None


def readable_file(names: Collection[str]) -> str | None:
    """Return the file that holds an adapter's tensors in place of PEFT's, if there is just one."""
    found = find_foreign(names, common=False) or find_foreign(names, common=True)
    if found is None or not found[0].readable:
        return None
    alike = [name for name in names if found[0].name.fullmatch(name)]
    return alike[0] if len(alike) == 1 else None
