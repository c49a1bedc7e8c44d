"""Adapters of kinds that nobody asked for, as PEFT's and transformers' own savers leave them, and
what PEFT answers with each.

All are on the default base, and training is stood in for by random values. What is not served is
not here.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import peft
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from lorabay.base.transformers_quiet import quiet_transformers
from tests.peft_adapters import ATTENTION, LINEAR, adalora, lora, randomise

if TYPE_CHECKING:
    from pathlib import Path

WEIGHTS = "adapter_model.safetensors"
PROMPTS = (
    "The capital of France is",
    "To reset the router, first press the button on its back and then",
)
LENGTH = 8
SCALE = 0.02
FEW = [0, 13, 29]
"""The layers of most: PEFT takes long for some kinds on all of them."""

PLAIN = "plain"
"""Stands for the base alone."""

Make = Callable[[Any, "Path"], None]
"""Puts an adapter into a model, in place, and saves it in a folder."""


@dataclass(frozen=True)
class Greedy:
    """A greedy answer to a prompt: its tokens, and the log-probability of each."""

    tokens: list[int]
    log_probs: list[float]


def greedy(model: Any, tokenizer: Any) -> list[Greedy]:
    """Return a model's answers to the prompts, in float32."""
    found: list[Greedy] = []
    for prompt in PROMPTS:
        ids = torch.tensor([tokenizer(prompt).input_ids])
        with torch.inference_mode():
            made = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                min_new_tokens=LENGTH,
                max_new_tokens=LENGTH,
                do_sample=False,
                pad_token_id=0,
                output_logits=True,
                return_dict_in_generate=True,
            )
        tokens = made.sequences[0, ids.shape[1] :].tolist()
        scores = [torch.log_softmax(step[0].float(), -1) for step in made.logits]
        chosen = [float(score[token]) for score, token in zip(scores, tokens, strict=True)]
        found.append(Greedy(tokens, chosen))
    return found


def made_in(folder: Path, base_folder: Path) -> dict[str, list[Greedy]]:
    """Make the adapters that are not in `folder` yet; return what PEFT answers with each, and under
    `PLAIN` with none.
    """
    missing = [name for name in (*STRANGERS, PLAIN) if not (folder / f"{name}.json").exists()]
    if missing:
        tokenizer = AutoTokenizer.from_pretrained(base_folder)
        with quiet_transformers():
            base: Any = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
        for name in missing:
            model = copy.deepcopy(base)
            with quiet_transformers():
                if name != PLAIN:
                    STRANGERS[name](model, folder / name)
                answers = greedy(model.eval(), tokenizer)
            (folder / f"{name}.json").write_text(json.dumps([asdict(one) for one in answers]))
    return {
        name: [Greedy(**one) for one in json.loads((folder / f"{name}.json").read_text())]
        for name in (*STRANGERS, PLAIN)
    }


def saved(config: Callable[[], peft.PeftConfig], *, scale: float = SCALE, **save: Any) -> Make:
    """Return what makes an adapter of a config as PEFT does."""

    def into(model: Any, folder: Path) -> None:
        wrapped = trained(model, config(), scale)
        wrapped.save_pretrained(folder, **save)

    return into


def trained(model: Any, config: peft.PeftConfig, scale: float = SCALE) -> Any:
    wrapped = peft.get_peft_model(model, config)
    # Nobody reads the card.
    wrapped.create_or_update_model_card = lambda folder: None
    randomise(wrapped, 1, scale)
    return wrapped


def few(**fields: Any) -> peft.PeftConfig:
    """Plain LoRA of three layers."""
    return lora(layers_to_transform=FEW, **fields)


def changed(change: Callable[[Mapping[str, torch.Tensor]], Mapping[str, torch.Tensor]]) -> Make:
    """Return what saves a plain adapter, of which something changes the tensors."""

    def into(model: Any, folder: Path) -> None:
        saved(few)(model, folder)
        tensors = change(load_file(folder / WEIGHTS))
        save_file(dict(tensors), folder / WEIGHTS, {"format": "pt"})

    return into


def in_float64(tensors: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """What `model.double()` leaves."""
    return {name: value.double() for name, value in tensors.items()}


def by_loralib(tensors: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """The names of the library that came before PEFT."""
    return {
        name.removeprefix("base_model.model.").removesuffix(".weight"): value
        for name, value in tensors.items()
    }


def compiled(model: Any, folder: Path) -> None:
    """The state of a compiled model, with the adapter's name in it."""
    wrapped = trained(model, few())
    state = torch.compile(wrapped).state_dict()
    wrapped.peft_config["default"].save_pretrained(folder)
    factors = {name: value.contiguous() for name, value in state.items() if "lora_" in name}
    save_file(factors, folder / WEIGHTS)


def by_transformers(model: Any, folder: Path) -> None:
    """`add_adapter` of transformers' own, which saves through PEFT."""
    model.add_adapter(few())
    randomise(model, 1, SCALE)
    model.save_pretrained(folder)


def without_a_head(model: Any, folder: Path) -> None:
    """Trained on a class that only embeds, whose names lack the first part."""
    # PEFT finds no numbers of layers in such names.
    config = peft.LoraConfig(task_type="FEATURE_EXTRACTION", r=4, target_modules=ATTENTION)
    wrapped = trained(model.model, config)
    wrapped.save_pretrained(folder)


def in_bfloat16(model: Any, folder: Path) -> None:
    """Factors that were trained in few bits."""
    wrapped = trained(model, few())
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.bfloat16()
    wrapped.save_pretrained(folder)
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()


def weighted(model: Any, folder: Path) -> None:
    """Two adapters that PEFT made one of."""
    wrapped = trained(model, few())
    wrapped.add_adapter("second", few(r=2, lora_alpha=6))
    wrapped.set_adapter("second")
    randomise(wrapped, 2, SCALE)
    wrapped.add_weighted_adapter(["default", "second"], [0.7, 0.4], "both", combination_type="cat")
    wrapped.set_adapter("both")
    wrapped.save_pretrained(folder, selected_adapters=["both"])
    for file in (folder / "both").iterdir():
        file.rename(folder / file.name)
    (folder / "both").rmdir()


def from_olora(model: Any, folder: Path) -> None:
    """An initialisation that changed the base, which PEFT takes out again when it saves."""
    config = lora(init_lora_weights="olora", target_modules=ATTENTION, layers_to_transform=FEW)
    wrapped = peft.get_peft_model(model, config)
    wrapped.create_or_update_model_card = lambda folder: None
    initial = folder.with_name(f"{folder.name}-initial")
    wrapped.peft_config["default"].init_lora_weights = True
    wrapped.save_pretrained(initial)

    randomise(wrapped, 1, SCALE)
    wrapped.peft_config["default"].init_lora_weights = "olora"
    wrapped.save_pretrained(folder, path_initial_model_for_weight_conversion=str(initial))


STRANGERS: Mapping[str, Make] = {
    "adalora": saved(lambda: adalora(layers_to_transform=FEW), scale=0.15),
    "vera": saved(
        lambda: peft.VeraConfig(
            task_type="CAUSAL_LM", r=16, target_modules=ATTENTION, layers_to_transform=FEW
        ),
        scale=1.0,
    ),
    "loha": saved(
        lambda: peft.LoHaConfig(
            task_type="CAUSAL_LM", r=3, alpha=6, target_modules=LINEAR, layers_to_transform=FEW
        ),
        scale=0.3,
    ),
    "lokr": saved(
        lambda: peft.LoKrConfig(
            task_type="CAUSAL_LM",
            r=2,
            alpha=4,
            decompose_factor=4,
            target_modules=LINEAR,
            layers_to_transform=FEW,
        ),
        scale=0.3,
    ),
    "patterns": saved(
        lambda: lora(
            use_rslora=True,
            rank_pattern={r".*\.layers\.1\..*": 3, r"^model\.layers\.0\.self_attn\.q_proj": 2},
            alpha_pattern={r"layers\.(2|3)\.mlp\.up_proj": 50, "v_proj": 1},
        )
    ),
    "dora-patterns": saved(
        lambda: few(
            use_dora=True,
            use_rslora=True,
            rank_pattern={"q_proj": 2},
            alpha_pattern={"v_proj": 3},
        )
    ),
    "embedding": saved(lambda: lora(target_modules=["embed_tokens", "q_proj"])),
    "tied-embedding": saved(
        lambda: lora(target_modules=["embed_tokens", "q_proj"], ensure_weight_tying=True)
    ),
    "head": saved(lambda: lora(target_modules=["lm_head", "q_proj"])),
    "parameters": saved(
        lambda: lora(
            target_modules=[],
            target_parameters=["self_attn.q_proj.weight", "mlp.up_proj.weight"],
        )
    ),
    "some-layers": saved(lambda: few(exclude_modules=["k_proj"])),
    "biases-of-none": saved(lambda: few(bias="all")),
    "negative": saved(lambda: few(lora_alpha=-4)),
    "rank-64": saved(lambda: lora(r=64, lora_alpha=16, target_modules=ATTENTION)),
    "copies": saved(lambda: lora(target_modules=ATTENTION), save_embedding_layers=True),
    "float64": changed(in_float64),
    "loralib": changed(by_loralib),
    "compiled": compiled,
    "transformers": by_transformers,
    "without-a-head": without_a_head,
    "bfloat16": in_bfloat16,
    "weighted": weighted,
    "olora": from_olora,
}
