"""Ways to spoil what a tool of the offline side reads: a folder with `base` and `adapter` in it, as
`make_base` and `make_lora` write them. Each does one thing to one of them."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

from tests import making
from tests.merge.bases import HIDDEN, random_tensor

Spoil = Callable[[Path], None]

INDEX = "model.safetensors.index.json"
FIRST = "model-00001-of-00002.safetensors"
WEIGHTS = "adapter_model.safetensors"


def of_another_size(folders: Path) -> None:
    tensors = making.load(folders / "adapter" / WEIGHTS)
    name = f"{making.PREFIX}model.layers.1.self_attn.q_proj.lora_A.weight"
    making.save(
        folders / "adapter" / WEIGHTS, {**tensors, name: random_tensor((4, HIDDEN + 1), 0, "F32")}
    )


def of_another_model(folders: Path) -> None:
    tensors = making.load(folders / "adapter" / WEIGHTS)
    renamed = {name.replace("layers.1", "layers.7"): tensor for name, tensor in tensors.items()}
    making.save(folders / "adapter" / WEIGHTS, renamed)


def without_a_file(folders: Path) -> None:
    (folders / "base" / FIRST).unlink()


def cut_short(folders: Path) -> None:
    os.truncate(folders / "base" / FIRST, (folders / "base" / FIRST).stat().st_size - 10)


def index_of_more(folders: Path) -> None:
    index = json.loads((folders / "base" / INDEX).read_bytes())
    index["weight_map"]["model.layers.9.mlp.up_proj.weight"] = FIRST
    (folders / "base" / INDEX).write_text(json.dumps(index))


def index_that_leads_away(folders: Path) -> None:
    index = json.loads((folders / "base" / INDEX).read_bytes())
    index["weight_map"] |= {"model.norm.weight": "../other.safetensors"}
    (folders / "base" / INDEX).write_text(json.dumps(index))


def loop(folders: Path) -> None:
    path = folders / "base" / FIRST
    path.unlink()
    path.symlink_to(path.name)


def adapter_loop(folders: Path) -> None:
    path = folders / "adapter" / WEIGHTS
    path.unlink()
    path.symlink_to(path.name)


def pickled(folders: Path) -> None:
    (folders / "adapter" / WEIGHTS).unlink()
    (folders / "adapter" / "adapter_model.bin").write_bytes(pickle.dumps({}))


def pickled_base(folders: Path) -> None:
    for path in (folders / "base").glob("model*"):
        path.unlink()
    (folders / "base" / "pytorch_model.bin").write_bytes(pickle.dumps({}))


def without_config(folders: Path) -> None:
    (folders / "base" / "config.json").unlink()


def torn_adapter(folders: Path) -> None:
    os.truncate(folders / "adapter" / WEIGHTS, 40)


def not_finite(folders: Path) -> None:
    tensors = making.load(folders / "adapter" / WEIGHTS)
    name = next(iter(tensors))
    broken = making.Stored("F32", tensors[name].shape, b"\x00\x00\xc0\x7f" + tensors[name].data[4:])
    making.save(folders / "adapter" / WEIGHTS, {**tensors, name: broken})


def no_adapter(folders: Path) -> None:
    for path in (folders / "adapter").iterdir():
        path.unlink()
    (folders / "adapter").rmdir()


def routed(folders: Path) -> None:
    (folders / "adapter" / "adapter_config.json").write_text(
        json.dumps({"peft_type": "PREFIX_TUNING"})
    )


def index_of_a_file_that_is_not_there(folders: Path) -> None:
    index = json.loads((folders / "base" / INDEX).read_bytes())
    index["weight_map"]["model.norm.weight"] = "model-00009-of-00009.safetensors"
    (folders / "base" / INDEX).write_text(json.dumps(index))


def index_that_is_no_name(folders: Path) -> None:
    index = json.loads((folders / "base" / INDEX).read_bytes())
    index["weight_map"]["model.norm.weight"] = "a\0b"
    (folders / "base" / INDEX).write_text(json.dumps(index))


def base_config_that_is_a_list(folders: Path) -> None:
    (folders / "base" / "config.json").write_text("[1]")


def base_that_is_a_file(folders: Path) -> None:
    for path in (folders / "base").iterdir():
        path.unlink()
    (folders / "base").rmdir()
    (folders / "base").write_text("a file")


def base_that_is_a_loop(folders: Path) -> None:
    base_that_is_a_file(folders)
    (folders / "base").unlink()
    (folders / "base").symlink_to("base")


def adapter_that_is_a_file(folders: Path) -> None:
    no_adapter(folders)
    (folders / "adapter").write_text("a file")


def config_that_is_a_list(folders: Path) -> None:
    (folders / "adapter" / "adapter_config.json").write_text("[1]")


def config_that_is_no_text(folders: Path) -> None:
    (folders / "adapter" / "adapter_config.json").write_bytes(b"\xff\xfe{")


def config_of_odd_types(folders: Path) -> None:
    path = folders / "adapter" / "adapter_config.json"
    odd = {"r": "4", "target_modules": 7, "lora_alpha": [1], "rank_pattern": "x"}
    path.write_text(json.dumps(json.loads(path.read_bytes()) | odd))


def adapter_cut_short(folders: Path) -> None:
    path = folders / "adapter" / WEIGHTS
    os.truncate(path, path.stat().st_size - 10)


def empty_weights(folders: Path) -> None:
    os.truncate(folders / "adapter" / WEIGHTS, 0)


def weights_that_are_a_folder(folders: Path) -> None:
    (folders / "adapter" / WEIGHTS).unlink()
    (folders / "adapter" / WEIGHTS).mkdir()


def weights_that_are_a_pipe(folders: Path) -> None:
    (folders / "adapter" / WEIGHTS).unlink()
    os.mkfifo(folders / "adapter" / WEIGHTS)
