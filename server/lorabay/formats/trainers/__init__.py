"""The trainers whose adapters are not PEFT's: how each is recognised, and which module reads it.

`TRAINERS` is the one table. LLaMA-Factory, axolotl, TRL and unsloth save as PEFT does, and so do
ms-swift with its default backend and torchtune's Hugging Face checkpointer: they need no entry.
Knows nothing of folders.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.formats.trainers import mistral_finetune, mlx_lm, swift, tinker, torchtune
from lorabay.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.formats.interface import Format

CONVERT = "make it a PEFT adapter with `lorabay convert FOLDER -o NEW`"
"""What to do with an adapter that is read here, though not served."""


@dataclass(frozen=True, slots=True)
class Trainer:
    """One trainer's own format.

    It is recognised by any tensor whose whole name matches `tensors`, if the config has `field`.
    `config_file` says what the tensors mean, with the base's name in `base_field`; where the file
    is missing, `config_advice` says what to do. `module` reads the adapter as updates; without one,
    `advice` says what to do instead.
    """

    name: str
    tensors: re.Pattern[str]
    config_file: str = "adapter_config.json"
    config_advice: str = "copy it from where the adapter was trained"
    base_field: str = "base_model_name_or_path"
    field: str | None = None
    module: Format | None = None
    advice: str = CONVERT

    @property
    def refusal(self) -> Reason:
        """Why such an adapter is not served as it is."""
        text = f"this is an adapter in the own format of {self.name}; {self.advice}"
        return Reason("foreign_format", text)


TRAINERS: tuple[Trainer, ...] = (
    Trainer("mlx-lm", mlx_lm.RECOGNISED, base_field="model", module=mlx_lm),
    Trainer(
        "mlx-vlm",
        re.compile(r"(?:language_model|model)\..+\.[AB]"),
        advice="no mapping of it is known here; fuse it with mlx-vlm's own tool",
    ),
    Trainer(
        "mistral-finetune",
        mistral_finetune.RECOGNISED,
        config_file=mistral_finetune.CONFIG_FILE,
        module=mistral_finetune,
    ),
    Trainer(
        "torchtune",
        torchtune.RECOGNISED,
        config_advice=torchtune.CONFIG_ADVICE,
        module=torchtune,
    ),
    Trainer("Tinker", tinker.RECOGNISED, module=tinker),
    Trainer("ms-swift", swift.RECOGNISED, field="swift_type", module=swift),
    Trainer(
        "Megatron",
        re.compile(r".+\.adapter\.linear_(?:in|out)\.weight"),
        advice="export it to Hugging Face's form with Megatron Bridge, which knows its rows",
    ),
    Trainer(
        "kohya's scripts or LyCORIS",
        re.compile(r"(?:lora|lycoris)_[^.]+\.(?:lora_(?:down|up)\.weight|(?:hada|lokr)_\w+|alpha)"),
        advice="it is for models of images, and names its modules in a way that cannot be undone",
    ),
)
"""In this order; the first that recognises an adapter reads it."""


def trainer_of(config: Mapping[str, object], tensors: Iterable[TensorInfo]) -> Trainer | None:
    """Return the trainer in whose own format an adapter is; None if it is PEFT's, or unknown."""
    names = [tensor.name for tensor in tensors]
    for trainer in TRAINERS:
        if trainer.field is not None and trainer.field not in config:
            continue
        if any(map(trainer.tensors.fullmatch, names)):
            return trainer
    return None
