"""Every way that we know to spoil an adapter folder: name -> (what to do to a good folder, the
codes of its refusal).

Each function takes a folder that holds a servable LoRA adapter of any size and spoils it in place.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import numpy as np

from tests import making
from tests.making import PREFIX, Stored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Spoil = Callable[[Path], None]
    Tensors = dict[str, Stored]

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def config(**fields: object) -> Spoil:
    def spoil(folder: Path) -> None:
        content = json.loads((folder / CONFIG).read_text()) | fields
        (folder / CONFIG).write_text(json.dumps(content))

    return spoil


def config_text(text: bytes) -> Spoil:
    return lambda folder: (folder / CONFIG).write_bytes(text) and None


def weights(change: Callable[[Tensors], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        tensors = making.load(folder / WEIGHTS)
        change(tensors)
        making.save(folder / WEIGHTS, tensors)

    return spoil


def weights_bytes(change: Callable[[bytes], bytes]) -> Spoil:
    return lambda folder: (
        (folder / WEIGHTS).write_bytes(change((folder / WEIGHTS).read_bytes())) and None
    )


def every(change: Callable[[str, Stored], Stored]) -> Spoil:
    return weights(
        lambda tensors: tensors.update({name: change(name, raw) for name, raw in tensors.items()})
    )


def first(tensors: Tensors, kind: str) -> str:
    return min(name for name in tensors if f".{kind}." in name)


def put(tensors: Tensors, kind: str, shape_of: Callable[[int, int], tuple[int, ...]]) -> None:
    name = first(tensors, kind)
    tensors[name] = making.stored(np.ones(shape_of(*tensors[name].shape)))


def set_value(value: float) -> Spoil:
    def change(tensors: Tensors) -> None:
        name = first(tensors, "lora_B")
        changed = making.values(tensors[name]).copy()
        changed[-1, -1] = value
        tensors[name] = making.stored(changed, "F32")

    return weights(change)


def rename(old: str, new: str) -> Spoil:
    def change(tensors: Tensors) -> None:
        renamed = {name.replace(old, new, 1): raw for name, raw in tensors.items()}
        tensors.clear()
        tensors.update(renamed)

    return weights(change)


def under_two_names(folder: Path) -> None:
    tensors = making.load(folder / WEIGHTS)
    second = {
        name.replace("model.layers", "model.language_model.layers"): raw
        for name, raw in tensors.items()
    }
    making.save(folder / WEIGHTS, tensors | second)


def rank(r: int) -> Spoil:
    def resized(name: str, raw: Stored) -> Stored:
        return making.stored(np.ones((r, raw.shape[1]) if "lora_A" in name else (raw.shape[0], r)))

    def spoil(folder: Path) -> None:
        config(r=r)(folder)
        every(resized)(folder)

    return spoil


def in_turn(*steps: Spoil) -> Spoil:
    def spoil(folder: Path) -> None:
        for step in steps:
            step(folder)

    return spoil


def remove(name: str) -> Spoil:
    return lambda folder: (folder / name).unlink()


def pickle_only(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "adapter_model.bin")


def huge_config(folder: Path) -> None:
    os.truncate(folder / CONFIG, 50 << 20)


def beside(name: str, content: bytes) -> Spoil:
    return lambda folder: (folder / name).write_bytes(content) and None


def fifo(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    os.mkfifo(folder / WEIGHTS)


def folder_as_config(folder: Path) -> None:
    (folder / CONFIG).unlink()
    (folder / CONFIG).mkdir()


def link_outside(folder: Path) -> None:
    outside = folder.parent / f"outside-{folder.name}"
    (folder / WEIGHTS).rename(outside)
    (folder / WEIGHTS).symlink_to(outside)


def link_loop(folder: Path) -> None:
    (folder / CONFIG).unlink()
    (folder / CONFIG).symlink_to(CONFIG)


BAD_FOLDERS: dict[str, tuple[Spoil, set[str]]] = {
    "weights cut short": (weights_bytes(lambda data: data[:-10]), {"data_truncated"}),
    "weights cut in the header": (weights_bytes(lambda data: data[:40]), {"header_truncated"}),
    "weights empty": (weights_bytes(lambda _: b""), {"header_truncated"}),
    "weights with a tail": (weights_bytes(lambda data: data + b"x"), {"data_trailing"}),
    "bit flipped in the header": (
        weights_bytes(lambda data: data[:8] + bytes([data[8] ^ 1]) + data[9:]),
        {"header_not_json"},
    ),
    "header of 2 GB": (
        weights_bytes(lambda data: (2 << 30).to_bytes(8, "little") + data[8:]),
        {"header_too_large"},
    ),
    "no tensors": (weights(dict.clear), {"no_tensors", "missing_tensor"}),
    "wrong inputs": (weights(lambda t: put(t, "lora_A", lambda r, into: (r, into + 1))), {"shape"}),
    "wrong outputs": (weights(lambda t: put(t, "lora_B", lambda out, r: (out - 1, r))), {"shape"}),
    "A and B of two ranks": (
        weights(lambda t: put(t, "lora_A", lambda r, into: (r + 1, into))),
        {"shape"},
    ),
    "three dimensions": (
        weights(lambda t: put(t, "lora_A", lambda r, into: (r, into, 1))),
        {"shape"},
    ),
    "missing B": (weights(lambda t: t.pop(first(t, "lora_B"))), {"missing_tensor"}),
    "missing module": (
        weights(lambda t: [t.pop(first(t, kind)) for kind in ("lora_A", "lora_B")]),
        {"missing_tensor"},
    ),
    "module that is no target": (
        config(target_modules=["o_proj"]),
        {"unexpected_tensor", "missing_tensor"},
    ),
    "extra tensor": (
        weights(lambda t: t.update({f"{PREFIX}model.extra": making.stored(np.ones(3))})),
        {"unexpected_tensor"},
    ),
    "DoRA magnitudes without the flag": (
        weights(
            lambda t: t.update(
                {f"{PREFIX}model.x.lora_magnitude_vector": making.stored(np.ones(3))}
            )
        ),
        {"unexpected_tensor"},
    ),
    "adapter name in the tensors": (
        rename(".lora_A.", ".lora_A.default."),
        {"unexpected_tensor", "missing_tensor"},
    ),
    "tensors of a vision tower": (
        rename("model.layers", "model.vision_tower.encoder.layers"),
        {"module_not_in_base", "missing_tensor"},
    ),
    "a module under two names": (under_two_names, {"ambiguous_module"}),
    "module of another base": (
        rename("_proj", "_projection"),
        {"module_not_in_base", "missing_tensor"},
    ),
    "rank over the limit": (rank(200), {"rank_over_limit"}),
    "rank unlike the config's": (config(r=3), {"rank"}),
    "rank 0 in the config": (config(r=0), {"rank_zero"}),
    "rank 0 in the tensors": (rank(0), {"rank_zero"}),
    "absurd rank": (config(r=10**30), {"config_field", "rank_over_limit"}),
    "NaN": (set_value(float("nan")), {"not_finite"}),
    "infinity": (set_value(float("-inf")), {"not_finite"}),
    "alpha not a number": (config(lora_alpha="sixteen"), {"config_field"}),
    "alpha absurd": (config(lora_alpha=1e300), {"config_field"}),
    "integers": (every(lambda _, raw: making.stored(np.ones(raw.shape), "I32")), {"dtype"}),
    "pickle only": (pickle_only, {"pickle"}),
    "no weights": (remove(WEIGHTS), {"weights_missing"}),
    "no config": (remove(CONFIG), {"config_missing"}),
    "config not JSON": (config_text(b"r = 8"), {"config_not_json"}),
    "config not text": (config_text(b"\xff\xfe\x00"), {"config_not_json"}),
    "config a list": (config_text(b"[]"), {"config_not_json"}),
    "config nested 100,000 deep": (config_text(b"[" * 100_000), {"config_not_json"}),
    "config of 50 MB": (huge_config, {"file_too_large"}),
    "config without fields": (config_text(b'{"peft_type": "LORA"}'), {"config_field"}),
    "config of wrong types": (config(r="8", target_modules=3, use_rslora="yes"), {"config_field"}),
    "no peft type": (config(peft_type=None), {"peft_type_unknown"}),
    "unknown peft type": (config(peft_type="\x1b[31mNEW"), {"peft_type_unknown"}),
    "peft type not a text": (config(peft_type=["LORA"]), {"peft_type_unknown"}),
    "another peft type": (config(peft_type="VBLORA"), {"peft_type_unsupported"}),
    "modules_to_save": (config(modules_to_save=["lm_head"]), {"modules_to_save"}),
    "an unknown bias": (config(bias="some"), {"bias"}),
    "lora_bias": (config(lora_bias=True), {"bias"}),
    "DoRA": (config(use_dora=True), {"dora"}),
    "retrained tokens": (config(trainable_token_indices=[1, 2]), {"trainable_tokens"}),
    "bare parameters": (config(target_parameters=["experts.gate_up_proj"]), {"target_parameters"}),
    "replicated layers": (config(layer_replication=[[0, 2], [1, 3]]), {"layer_replication"}),
    "activated LoRA": (config(alora_invocation_tokens=[1]), {"alora"}),
    "PiSSA": (config(init_lora_weights="pissa_niter_16"), {"init_changed_base"}),
    "OLoRA": (config(init_lora_weights="olora"), {"init_changed_base"}),
    "CorDA": (config(init_lora_weights="corda"), {"init_changed_base"}),
    "LoftQ": (config(init_lora_weights="loftq"), {"init_changed_base"}),
    "LoRA-GA": (config(init_lora_weights="lora_ga"), {"init_changed_base"}),
    "unknown init": (config(init_lora_weights="next_year"), {"init_changed_base"}),
    "expression that looks around": (config(alpha_pattern={"(?<!k)_proj": 4}), {"pattern"}),
    "expression that is none": (config(rank_pattern={"(q_proj": 4}), {"pattern"}),
    "flag as text": (config(use_rslora="false"), {"config_field"}),
    "FIFO": (fifo, {"special_file"}),
    "folder as config": (folder_as_config, {"special_file"}),
    "link that leaves the root": (link_outside, {"link_outside"}),
    "link to itself": (link_loop, {"unreadable"}),
    "settings with an unknown key": (beside("lorabay.toml", b"x = 1"), {"defaults_file"}),
    "settings of another type": (beside("lorabay.toml", b"tags = 1"), {"defaults_file"}),
    "settings that are no TOML": (beside("lorabay.toml", b"\xff"), {"defaults_file"}),
    "settings without an end": (beside("lorabay.toml", bytes(1 << 17)), {"file_too_large"}),
    "template with an error": (beside("chat_template.jinja", b"{% if %}"), {"chat_template"}),
    "template that is empty": (beside("chat_template.jinja", b""), {"chat_template"}),
    "template in a config with an error": (
        beside("tokenizer_config.json", b'{"chat_template": "{{"}'),
        {"chat_template"},
    ),
    "tokenizer config cut short": (beside("tokenizer_config.json", b'{"eos'), {"tokenizer_file"}),
    "end token of another type": (
        beside("tokenizer_config.json", b'{"eos_token": []}'),
        {"tokenizer_file"},
    ),
    "generation config that is a list": (
        beside("generation_config.json", b"[]"),
        {"tokenizer_file"},
    ),
    "settings and weights": (
        in_turn(beside("lorabay.toml", b"x = 1"), weights_bytes(lambda _: b"")),
        {"defaults_file", "header_truncated"},
    ),
    "settings that are a FIFO": (
        lambda folder: os.mkfifo(folder / "lorabay.toml"),
        {"special_file"},
    ),
    "settings that lead away": (
        lambda folder: (folder / "lorabay.toml").symlink_to("/etc/hostname"),
        {"link_outside"},
    ),
    "several at once": (
        in_turn(
            config(bias="some", use_dora=True, lora_alpha=None),
            set_value(float("nan")),
            rename("_proj", "_p"),
        ),
        {"bias", "dora", "config_field", "module_not_in_base"},
    ),
    "config and weights": (
        in_turn(config_text(b"{"), weights_bytes(lambda _: b"")),
        {"config_not_json", "header_truncated"},
    ),
}
