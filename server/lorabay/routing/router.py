"""A router: a folder with `router.json` and `router.safetensors`, over the embedding of a base.

A router is immutable: its id is the begin of the sha256 of its two files. It belongs to one base,
and notices another one by the vector of a sentence that it has kept. The files hold numbers
and names, and no code. Computes; which adapters are served, and to whom, it does not know.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lorabay.errors import SetupError
from lorabay.files import durable
from lorabay.routing.choice import BASE_CLASS
from lorabay.routing.encoder import Encoder
from lorabay.routing.features import Features
from lorabay.routing.ngrams import BUCKETS
from lorabay.routing.probe import Probe

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CONFIG_FILE, WEIGHTS_FILE = "router.json", "router.safetensors"

ID_DIGITS = 12
_LARGEST_BYTES = 64 << 20
"""A router for a hundred adapters over a base of width 8192 has a tenth of it."""

PROBED = "How do I read this line, and 这一行怎么读？"
"""The sentence by whose vector a router knows its base."""

_TOLERANCE = 1e-3


class Description(BaseModel):
    """The content of `router.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    classes: Annotated[list[str], Field(min_length=2)]
    """The adapters, and `base` for questions that fit none."""

    threshold: Annotated[float, Field(ge=0, le=1)]
    """The least probability of being of any adapter's domain by which one is chosen."""

    base: str
    """What the base is called, for people."""

    questions: dict[str, int]
    """How many questions of each class it has learnt from."""


class Router:
    """Tells how likely a question belongs to each adapter's domain."""

    def __init__(self, about: Description, features: Features, probe: Probe, id: str = "") -> None:
        self.about = about
        self.id = id
        self._features = features
        self._probe = probe

    @property
    def threshold(self) -> float:
        """The least probability of being of any adapter's domain by which one is chosen."""
        return self.about.threshold

    def likely(self, text: str) -> dict[str, float]:
        """Return the probability of each class; that of a question without text is the base's."""
        if not text.strip():
            return {name: float(name == BASE_CLASS) for name in self.about.classes}

        found = self._probe.probabilities(self._features.of(text))
        return dict(zip(self.about.classes, found.tolist(), strict=True))

    def write(self, folder: Path) -> None:
        """Write the router into a new folder. Raises SetupError if there is something already."""
        from safetensors.numpy import save

        tensors = {
            "weights": self._probe.weights,
            "biases": self._probe.biases,
            "mean": self._features.mean,
            "spread": self._features.spread,
            "token_weights": self._features.token_weights,
            "piece_weights": self._features.piece_weights,
            "probed": _probed(self._features.encoder),
        }
        text = self.about.model_dump_json(indent=2) + "\n"
        with durable.new_folder(folder, ()) as made:
            (made / CONFIG_FILE).write_text(text, encoding="utf-8")
            (made / WEIGHTS_FILE).write_bytes(save(tensors))

    @classmethod
    def read(cls, folder: Path, base: Path) -> Self:
        """Return the router in `folder` over the base in `base`.

        Raises SetupError for what is no router, and for one of another base.
        """
        config, weights = _bytes(folder / CONFIG_FILE), _bytes(folder / WEIGHTS_FILE)
        try:
            about = Description.model_validate_json(config)
        except ValidationError as error:
            raise SetupError(f"{folder / CONFIG_FILE} describes no router: {error}") from error

        tensors = _tensors(weights, folder / WEIGHTS_FILE)
        encoder = Encoder.read(base)
        _check_shapes(tensors, len(about.classes), encoder, folder)
        if not np.allclose(_probed(encoder), tensors["probed"], atol=_TOLERANCE):
            raise SetupError(
                f"the router in {folder} was trained for another base ({about.base}): "
                "train it anew with `lorabay route train`"
            )

        id = hashlib.sha256(config + weights).hexdigest()[:ID_DIGITS]
        learnt = (tensors[name] for name in ("token_weights", "piece_weights", "mean", "spread"))
        probe = Probe(tensors["weights"], tensors["biases"])
        return cls(about, Features(encoder, *learnt), probe, id)


def _probed(encoder: Encoder) -> NDArray[np.float32]:
    """Return the vector of the sentence, in which every token counts the same."""
    return encoder.mean(encoder.tokens(PROBED), np.ones(encoder.vocabulary, np.float32))


def _bytes(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise SetupError(f"cannot read the router: {file}: {error.strerror}") from error
    if len(content) > _LARGEST_BYTES:
        raise SetupError(f"{file} is larger than a router can be ({_LARGEST_BYTES} bytes)")
    return content


def _tensors(content: bytes, file: Path) -> dict[str, NDArray[np.float32]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(content)
    except SafetensorError as error:
        raise SetupError(f"{file} holds no weights of a router: {error}") from error


def _check_shapes(
    tensors: dict[str, NDArray[np.float32]], classes: int, encoder: Encoder, folder: Path
) -> None:
    expected: dict[str, tuple[int, ...]] = {
        "weights": (encoder.width + BUCKETS, classes),
        "biases": (classes,),
        "mean": (encoder.width,),
        "spread": (encoder.width,),
        "token_weights": (encoder.vocabulary,),
        "piece_weights": (BUCKETS,),
        "probed": (encoder.width,),
    }
    for name, shape in expected.items():
        tensor = tensors.get(name)
        if tensor is None or tensor.shape != shape or not np.isfinite(tensor).all():
            raise SetupError(
                f"the router in {folder} does not fit this base, or is damaged: {name} should be "
                f"{shape} of finite numbers; train it anew with `lorabay route train`"
            )
