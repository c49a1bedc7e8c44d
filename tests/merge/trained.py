"""Adapters of every format, trained for a few steps, and the answers of PEFT's own model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import torch
from peft.tuners.lora.config import CordaConfig
from peft.tuners.lora.corda import preprocess_corda
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    GPTBigCodeConfig,
    GPTNeoConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedConfig,
    Starcoder2Config,
)

from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.merge.verify.verifier import read_probes

VOCABULARY = 96
TARGETS = ["q_proj", "v_proj", "down_proj"]
STEPS = 3
PROMPTS = 32
RATE = 1e-2
GENTLE_RATE = 2e-3
"""For a base that means something: with steps as large as a random one takes, nothing of it would
be left.
"""
POSITIONS = 16

Config = Callable[[], peft.PeftConfig]


def lora(**fields: Any) -> peft.PeftConfig:
    return peft.LoraConfig(
        task_type="CAUSAL_LM", **{"r": 8, "lora_alpha": 16, "target_modules": TARGETS} | fields
    )


def of(kind: type, targets: object = None, **fields: Any) -> Config:
    return lambda: kind(task_type="CAUSAL_LM", target_modules=targets or TARGETS, **fields)


FORMATS: dict[str, Config] = {
    "LoRA": lora,
    "LoRA+": lora,
    "LoRA-FA": lora,
    "rsLoRA": lambda: lora(use_rslora=True),
    "LoRA, all linear layers": lambda: lora(target_modules="all-linear"),
    "LoRA, rank_pattern and alpha_pattern": lambda: lora(
        rank_pattern={"q_proj": 4}, alpha_pattern={"v_proj": 9}
    ),
    "LoRA, layers_to_transform": lambda: lora(layers_to_transform=[1]),
    "LoRA, embeddings and head": lambda: lora(target_modules=["q_proj", "embed_tokens", "lm_head"]),
    "LoRA, embeddings of a tied base": lambda: lora(target_modules=["q_proj", "embed_tokens"]),
    "LoRA, ensure_weight_tying": lambda: lora(
        target_modules=["q_proj", "embed_tokens"], ensure_weight_tying=True
    ),
    "LoRA, modules_to_save": lambda: lora(modules_to_save=["embed_tokens", "lm_head", "norm"]),
    "LoRA, trainable_token_indices": lambda: lora(trainable_token_indices=[3, 70, 11]),
    "LongLoRA (norms and embeddings)": lambda: lora(
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
        modules_to_save=["embed_tokens", "norm", "input_layernorm", "post_attention_layernorm"],
    ),
    "PiSSA": lambda: lora(init_lora_weights="pissa"),
    "PiSSA with DoRA": lambda: lora(init_lora_weights="pissa", use_dora=True),
    "OLoRA": lambda: lora(init_lora_weights="olora"),
    "CorDA": lambda: lora(init_lora_weights="corda", corda_config=CordaConfig(corda_method="kpm")),
    "DoRA": lambda: lora(use_dora=True),
    "DoRA, embeddings": lambda: lora(use_dora=True, target_modules=["embed_tokens"]),
    "DoRA, embeddings and linear layers": lambda: lora(
        use_dora=True, target_modules=["q_proj", "embed_tokens"]
    ),
    "AdaLoRA": lambda: peft.AdaLoraConfig(
        task_type="CAUSAL_LM",
        init_r=8,
        target_r=4,
        total_step=100,
        tinit=1,
        tfinal=1,
        lora_alpha=16,
        target_modules=TARGETS,
    ),
    "VeRA, projections saved": of(peft.VeraConfig, r=32),
    "VeRA, projections from the seed": of(
        peft.VeraConfig, r=32, save_projection=False, projection_prng_key=7
    ),
    "LoHa": of(peft.LoHaConfig, r=4, alpha=8),
    "LoKr": of(peft.LoKrConfig, r=4, alpha=8),
    "(IA)³": of(
        peft.IA3Config, ["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"]
    ),
    "LN tuning": of(peft.LNTuningConfig, ["norm", "input_layernorm"]),
    "trainable tokens": lambda: peft.TrainableTokensConfig(
        task_type="CAUSAL_LM", token_indices=[5, 90]
    ),
    "OFT": of(peft.OFTConfig, r=0, oft_block_size=8),
    "OFT, modules_to_save": of(
        peft.OFTConfig, r=0, oft_block_size=8, modules_to_save=["norm", "lm_head"]
    ),
    "BOFT": of(peft.BOFTConfig, ["q_proj", "v_proj"], boft_block_size=4),
    "HRA": of(peft.HRAConfig, r=4),
    "C3A": of(peft.C3AConfig, ["q_proj", "v_proj"], block_size=8),
    "MiSS": of(peft.MissConfig, r=8),
    "FourierFT": of(peft.FourierFTConfig, n_frequency=100, scaling=50.0),
    "RandLoRA": of(peft.RandLoraConfig, r=8),
    "VB-LoRA": of(peft.VBLoRAConfig, r=4, num_vectors=32, vector_length=8),
    "SHiRA": of(peft.ShiraConfig, r=4),
    "RoAd": of(peft.RoadConfig, ["q_proj", "v_proj"], variant="road_1", group_size=8),
    "DeLoRA": of(peft.DeloraConfig, r=8),
    "GraLoRA": of(peft.GraloraConfig, r=8),
    "HiRA": of(peft.HiraConfig, r=8),
    "HiRA, modules_to_save": of(peft.HiraConfig, r=8, modules_to_save=["embed_tokens"]),
    "WaveFT": of(peft.WaveFTConfig, n_frequency=64),
}
"""Name in the table -> its config. All are for llamas."""

GPT2_FORMATS: dict[str, Config] = {
    "LoRA, fan_in_fan_out": lambda: lora(target_modules=["c_attn", "c_proj"], fan_in_fan_out=True),
    "LoRA, lora_bias": lambda: lora(target_modules=["c_attn"], fan_in_fan_out=True, lora_bias=True),
    "LoRA, bias=all": lambda: lora(target_modules=["c_attn"], fan_in_fan_out=True, bias="all"),
    "LoRA, bias=lora_only": lambda: lora(
        target_modules=["c_attn"], fan_in_fan_out=True, bias="lora_only"
    ),
    "DoRA, fan_in_fan_out": lambda: lora(
        target_modules=["c_attn"], fan_in_fan_out=True, use_dora=True
    ),
    "DoRA, fan_in_fan_out, and a linear layer": lambda: lora(
        target_modules=["c_attn", "lm_head"], use_dora=True
    ),
    "AdaLoRA, fan_in_fan_out": lambda: peft.AdaLoraConfig(
        task_type="CAUSAL_LM",
        init_r=8,
        target_r=4,
        total_step=100,
        tinit=1,
        tfinal=1,
        lora_alpha=16,
        target_modules=["c_attn", "c_proj"],
        fan_in_fan_out=True,
    ),
    "VeRA, fan_in_fan_out": of(peft.VeraConfig, ["c_attn", "c_proj"], r=32, fan_in_fan_out=True),
    "(IA)³, fan_in_fan_out": of(
        peft.IA3Config,
        ["c_attn", "mlp.c_proj"],
        feedforward_modules=["mlp.c_proj"],
        fan_in_fan_out=True,
    ),
    "FourierFT, fan_in_fan_out": of(
        peft.FourierFTConfig, ["c_attn"], n_frequency=100, scaling=50.0, fan_in_fan_out=True
    ),
}
"""The same for GPT-2, whose layers have biases and lie the other way round."""

NAMED_ALIKE: dict[str, Callable[[], PreTrainedConfig]] = {
    "StarCoder2": lambda: Starcoder2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=1,
    ),
    "GPTBigCode": lambda: GPTBigCodeConfig(
        vocab_size=VOCABULARY,
        n_positions=128,
        n_embd=32,
        n_layer=2,
        n_head=4,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=1,
    ),
    "GPT-Neo": lambda: GPTNeoConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_layers=2,
        attention_types=[[["global", "local"], 1]],
        num_heads=4,
        max_position_embeddings=128,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=1,
    ),
}
"""Models whose linear layers have the names of GPT-2's and lie as linear layers do."""


@dataclass(frozen=True)
class Trained:
    """An adapter folder, and the logits that PEFT's model gives each input's last positions."""

    folder: Path
    inputs: list[torch.Tensor]
    answers: list[torch.Tensor]


def tiny_llama(folder: Path, *, tied: bool = True) -> Path:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=tied,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def tiny_gpt2(folder: Path) -> Path:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=128,
        n_embd=32,
        n_layer=2,
        n_head=4,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=1,
    )
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".bias"):
                parameter.normal_(0, 0.1)
    model.save_pretrained(folder)
    return folder


def tiny_alike(name: str, folder: Path) -> Path:
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(NAMED_ALIKE[name]()).save_pretrained(folder)
    return folder


def inputs_for(base: Path, count: int) -> list[torch.Tensor]:
    """Return the shipped probes, or random tokens where there is no tokenizer."""
    if not (base / "tokenizer.json").exists():
        generator = torch.Generator().manual_seed(1)
        return [
            torch.randint(2, VOCABULARY, (POSITIONS,), generator=generator) for _ in range(count)
        ]
    tokenizer = AutoTokenizer.from_pretrained(base)
    return [tokenizer(text, return_tensors="pt").input_ids[0] for text in read_probes(None)[:count]]


def train(
    name: str,
    config: Config,
    base: Path,
    folder: Path,
    *,
    count: int = PROMPTS,
    steps: int = STEPS,
    rate: float = RATE,
) -> Trained:
    """Train on the first inputs and save. The answers are those after loading from disk."""
    inputs = inputs_for(base, count)
    torch.manual_seed(0)
    with quiet_transformers():
        made = config()
        start = getattr(made, "init_lora_weights", None)
        mutates = isinstance(start, str)
        started = load(base)
        if start == "corda":
            # It takes what flows through a layer for one text at a time.
            preprocess_corda(
                started, made, run_model=lambda: [answer(started, [ids]) for ids in inputs]
            )
        model = peft.get_peft_model(started, made)
        # Nobody reads the card, and its template takes as long as the training.
        model.create_or_update_model_card = lambda folder: None
        if mutates:
            model.peft_config["default"].init_lora_weights = True
            model.save_pretrained(folder / "init")
            model.peft_config["default"].init_lora_weights = start
        fit(name, model, inputs[:4], steps, rate)
        if mutates:
            model.save_pretrained(folder)
            answers = answer(model.eval(), inputs)
            model.unload().save_pretrained(folder / "residual")
        else:
            model.save_pretrained(folder)
            answers = answer(peft.PeftModel.from_pretrained(load(base), folder).eval(), inputs)
    return Trained(folder, inputs, answers)


def fit(name: str, model: Any, inputs: list[torch.Tensor], steps: int, rate: float) -> None:
    for parameter_name, parameter in model.named_parameters():
        if name == "LoRA-FA" and "lora_A" in parameter_name:
            parameter.requires_grad_(False)
    groups = [
        {"params": [part], "lr": rate * factor(name, parameter_name)}
        for parameter_name, part in model.named_parameters()
        if part.requires_grad
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=0)
    model.train()
    for step in range(steps):
        ids = inputs[step % len(inputs)][None]
        torch.autograd.backward(model(input_ids=ids, labels=ids).loss)
        optimiser.step()
        if hasattr(model.base_model, "update_and_allocate"):
            model.base_model.update_and_allocate(step + 1)
        optimiser.zero_grad()


def factor(name: str, parameter: str) -> float:
    """Return a factor of the learning rate: LoRA+ trains B faster, and whole weights go slowly."""
    if "modules_to_save" in parameter:
        return 0.1
    return 16 if name == "LoRA+" and "lora_B" in parameter else 1


def load(folder: Path) -> Any:
    with quiet_transformers():
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@torch.no_grad()
def answer(model: Any, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return the logits of the last positions; inputs of one length are asked at once."""
    if len({len(ids) for ids in inputs}) == 1:
        return list(model(input_ids=torch.stack(inputs)).logits[:, -POSITIONS:])
    return [model(input_ids=ids[None]).logits[0, -POSITIONS:] for ids in inputs]
