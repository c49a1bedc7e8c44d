"""Which modules of real architectures vLLM adapts, by its own classes, without weights."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import peft
import pytest
import transformers

from lorabay.base.shapes import BaseShapes
from lorabay.catalog.adapted import Adapted
from lorabay.serving.adapted import modules_of
from lorabay.serving.vllm import adapted
from lorabay.serving.vllm.adapted import answer, main
from lorabay.tools.check import check
from tests.matrix.architectures import ARCHITECTURES
from tests.torchvision_stand_in import write_stand_in

LAYER = "model.layers.0"
ATTENTION = [f"{LAYER}.self_attn.{part}_proj" for part in "qkvo"]
MLP = [f"{LAYER}.mlp.{part}_proj" for part in ("gate", "up", "down")]
ENDS = ["lm_head", "model.embed_tokens"]
SMALL: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 128,
    "tie_word_embeddings": False,
}

NO_LAYER = "vLLM's class of the base takes no adapters there"
LEFT_OUT = "the engine option lora_target_modules leaves it out"


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """Puts back what vLLM sets while it makes a configuration."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Asks about modules of a base that has the config of an architecture, and no weights."""

    def ask(
        config: str, architecture: str, modules: list[str], fields: Any = (), **options: Any
    ) -> dict[str, str]:
        made = getattr(transformers, config)(**SMALL | dict(fields))
        made.architectures = [architecture]
        made.save_pretrained(tmp_path / "base")
        question = {"base": str(tmp_path / "base"), "options": options, "modules": modules}
        found = answer(question)
        assert "unadapted" in found, found
        return dict(found["unadapted"])

    return ask


def test_a_class_without_places_for_embeddings_takes_no_adapters_of_the_head(
    ask: Callable[..., dict[str, str]],
) -> None:
    """Qwen2's: whose own head and embedding are as plain as its other layers are adapted."""
    found = ask("Qwen2Config", "Qwen2ForCausalLM", [*ATTENTION, *MLP, *ENDS])
    assert found == dict.fromkeys(ENDS, NO_LAYER)


def test_a_class_with_places_for_embeddings_takes_adapters_of_everything(
    ask: Callable[..., dict[str, str]],
) -> None:
    """Llama's."""
    assert ask("LlamaConfig", "LlamaForCausalLM", [*ATTENTION, *MLP, *ENDS]) == {}


def test_a_tied_head_that_the_class_does_not_have_takes_none(
    ask: Callable[..., dict[str, str]],
) -> None:
    """Gemma's: the embedding is its head."""
    fields = {"tie_word_embeddings": True, "query_pre_attn_scalar": 32}
    found = ask("Gemma2Config", "Gemma2ForCausalLM", [*ATTENTION, *MLP, *ENDS], fields)
    assert set(found) == set(ENDS)


@pytest.mark.parametrize(
    ("name", "unadapted"), [("Gemma 3 (text)", ENDS), ("Gemma 4 (text)", ENDS), ("Phi-3", [])]
)
def test_the_class_of_a_base_decides_about_its_head_and_embedding(
    name: str, unadapted: list[str], tmp_path: Path
) -> None:
    """Gemma's take no adapters there, Phi-3's does, as Llama's, which it is made of."""
    base = ARCHITECTURES[name].make_base(tmp_path / "base")
    layers = [module for module in modules_of(BaseShapes.read(base)) if module.endswith("_proj")]
    found = answer({"base": str(base), "options": {}, "modules": [*layers, *ENDS]})
    assert found["unadapted"] == dict.fromkeys(unadapted, NO_LAYER)


def test_modules_that_the_base_itself_packs_are_adapted_as_one(
    ask: Callable[..., dict[str, str]],
) -> None:
    """Phi-3's files have `qkv_proj` and `gate_up_proj`; the parts are no modules of it."""
    packed = [f"{LAYER}.self_attn.qkv_proj", f"{LAYER}.mlp.gate_up_proj"]
    rest = [f"{LAYER}.self_attn.o_proj", f"{LAYER}.mlp.down_proj"]
    fields = {"pad_token_id": 0}
    found = ask("Phi3Config", "Phi3ForCausalLM", [*packed, *rest, ATTENTION[0]], fields)
    assert set(found) == {ATTENTION[0]}


def test_a_packed_layer_takes_adapters_of_its_parts_only(
    ask: Callable[..., dict[str, str]],
) -> None:
    """In vLLM, Qwen2's q, k and v are one layer; no adapter of the base calls it so."""
    whole = f"{LAYER}.self_attn.qkv_proj"
    assert set(ask("Qwen2Config", "Qwen2ForCausalLM", [*ATTENTION, whole])) == {whole}


def test_an_option_that_leaves_modules_out_is_the_reason(
    ask: Callable[..., dict[str, str]],
) -> None:
    """Where vLLM packs q, k and v, naming one adapts all three."""
    options = {"lora_target_modules": ["q_proj"]}
    found = ask("Qwen2Config", "Qwen2ForCausalLM", [*ATTENTION, *MLP], **options)
    assert set(found) == {*MLP, f"{LAYER}.self_attn.o_proj"}
    assert all(reason.startswith(LEFT_OUT) for reason in found.values())


def test_latent_attention_does_not_call_the_layer_that_it_has_folded_in(
    ask: Callable[..., dict[str, str]],
) -> None:
    """DeepSeek-V2's `kv_b_proj` gets a layer for adapters that nothing ever calls."""
    attention = [f"{LAYER}.self_attn.{name}" for name in ("kv_a_proj_with_mqa", "o_proj")]
    queries = [f"{LAYER}.self_attn.{name}" for name in ("q_a_proj", "q_b_proj")]
    folded = f"{LAYER}.self_attn.kv_b_proj"
    fields = {
        "q_lora_rank": 64,
        "kv_lora_rank": 512,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 128,
        "v_head_dim": 128,
        "num_key_value_heads": 4,
        "first_k_dense_replace": 1,
        "n_routed_experts": 4,
    }
    modules = [*attention, *queries, folded, *MLP]
    found = ask("DeepseekV2Config", "DeepseekV2ForCausalLM", modules, fields)
    assert set(found) == {folded}
    assert "computes with that weight itself" in found[folded]


ANSWER = (
    "import json, sys; from lorabay.serving.vllm.adapted import answer; "
    "answers = [answer(question) for question in json.load(sys.stdin)]; "
    "open(sys.argv[1], 'w').write(json.dumps(answers))"
)
"""A program that answers many questions; vLLM's own lines go to standard output."""


@pytest.fixture(scope="module")
def towers(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, str]]:
    """What vLLM says of bases with a vision tower, asked in a process that can import them."""
    folder = tmp_path_factory.mktemp("towers")
    questions = []
    for name in TOWERS:
        base = ARCHITECTURES[name].make_base(folder / name)
        modules = modules_of(BaseShapes.read(base))
        if name == "Gemma 3":
            # As published: transformers leaves a part of the names out, and vLLM asks for it.
            tower, published = "vision_tower.", "vision_tower.vision_model."
            modules = [module.replace(tower, published) for module in modules]
        questions.append({"base": str(base), "options": {}, "modules": modules})

    path = [str(write_stand_in(folder / "stand-in")), *filter(None, sys.path)]
    subprocess.run(
        [sys.executable, "-c", ANSWER, str(folder / "answers")],
        input=json.dumps(questions),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        text=True,
        capture_output=True,
        check=True,
    )
    answers = json.loads((folder / "answers").read_text())
    assert all("unadapted" in found for found in answers), answers
    return {name: found["unadapted"] for name, found in zip(TOWERS, answers, strict=True)}


TOWERS = {
    "Qwen2.5-VL": "visual.",
    "Qwen3-VL": "model.visual.",
    "Gemma 3": ("vision_tower.", "multi_modal_projector."),
    "Gemma 4": ("model.vision_tower.", "model.embed_vision."),
}
"""Architecture -> begin of the names of its tower in the files that transformers saves."""


@pytest.mark.parametrize("name", TOWERS)
def test_a_vision_tower_is_left_alone(name: str, towers: Mapping[str, Mapping[str, str]]) -> None:
    """By the names of older files and of those that transformers writes now; the reason names the
    option that adapts it. The language model's layers are adapted.
    """
    unadapted = towers[name]
    tower = {module: why for module, why in unadapted.items() if module.startswith(TOWERS[name])}
    assert tower
    assert all("enable_tower_connector_lora" in why for why in tower.values())
    layers = [module for module in unadapted if module not in tower and "_proj" in module]
    assert layers == []


@pytest.mark.parametrize("name", ["Gemma 3", "Gemma 4"])
def test_neither_head_nor_embedding_of_gemma_is_adapted_beside_a_tower(
    name: str, towers: Mapping[str, Mapping[str, str]]
) -> None:
    """As in the classes for text alone."""
    reasons = {module.rpartition(".")[2]: reason for module, reason in towers[name].items()}
    assert reasons["lm_head"] == reasons["embed_tokens"] == NO_LAYER


def test_experts_are_adapted_by_the_names_that_vllm_takes(
    ask: Callable[..., dict[str, str]],
) -> None:
    """Qwen3-MoE's: each expert by its own name, its router too, and none of an index beyond."""
    fields = {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 64,
        "mlp_only_layers": [],
        "decoder_sparse_step": 1,
    }
    experts = [
        f"{LAYER}.mlp.experts.{number}.{part}_proj"
        for number in (0, 3)
        for part in ("gate", "up", "down")
    ]
    beyond = f"{LAYER}.mlp.experts.4.up_proj"
    modules = [*ATTENTION, *experts, beyond, f"{LAYER}.mlp.gate"]
    assert set(ask("Qwen3MoeConfig", "Qwen3MoeForCausalLM", modules, fields)) == {beyond}


def test_experts_that_every_token_uses_are_adapted_beside_the_others(
    ask: Callable[..., dict[str, str]],
) -> None:
    """DeepSeek-V2's: vLLM reaches them through its layer of the other experts, too."""
    mlp = "model.layers.1.mlp"
    parts = ("gate_proj", "up_proj", "down_proj")
    shared = [f"{mlp}.shared_experts.{part}" for part in parts]
    experts = [f"{mlp}.experts.3.{part}" for part in parts]
    fields = {
        "num_hidden_layers": 2,
        "q_lora_rank": 64,
        "kv_lora_rank": 512,
        "qk_rope_head_dim": 64,
        "qk_nope_head_dim": 128,
        "v_head_dim": 128,
        "num_key_value_heads": 4,
        "first_k_dense_replace": 1,
        "n_routed_experts": 4,
        "n_shared_experts": 1,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 64,
    }
    modules = [*shared, *experts, f"{mlp}.gate"]
    assert ask("DeepseekV2Config", "DeepseekV2ForCausalLM", modules, fields) == {}


def test_experts_of_one_tensor_are_adapted_by_pefts_two_names(
    ask: Callable[..., dict[str, str]],
) -> None:
    """gpt-oss's: the adapter of the second parameter lies below that of the first."""
    experts = [f"{LAYER}.mlp.experts", f"{LAYER}.mlp.experts.base_layer"]
    single = f"{LAYER}.mlp.experts.0.down_proj"
    fields = {"num_local_experts": 4, "num_experts_per_tok": 2, "layer_types": ["full_attention"]}
    modules = [*ATTENTION, *experts, single, "lm_head"]
    assert set(ask("GptOssConfig", "GptOssForCausalLM", modules, fields)) == {single, "lm_head"}


def test_a_class_that_takes_no_adapters_takes_none_of_any_module(
    ask: Callable[..., dict[str, str]],
) -> None:
    """Gemma 3n's. It computes numbers while it is made, and there are none."""
    fields = {"num_hidden_layers": 5, "layer_types": ["full_attention"] * 5}
    found = ask("Gemma3nTextConfig", "Gemma3nForCausalLM", ATTENTION, fields)
    reason = "vLLM's class Gemma3nForCausalLM takes no adapters at all"
    assert found == dict.fromkeys(ATTENTION, reason)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A base of transformers with a head of its own, and adapters that PEFT makes of it."""
    folder = tmp_path_factory.mktemp("qwen")
    model = transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**SMALL))
    model.save_pretrained(folder / "base")

    def adapter(*targets: str) -> Path:
        config = peft.LoraConfig(r=2, target_modules=list(targets), init_lora_weights=False)
        base = transformers.Qwen2ForCausalLM.from_pretrained(folder / "base")
        peft.get_peft_model(base, config).save_pretrained(folder / "-".join(targets))
        return folder / "-".join(targets)

    return adapter


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`")
@pytest.mark.parametrize(
    ("targets", "options", "left_out"),
    [
        (("q_proj", "down_proj"), {}, set()),
        (("q_proj", "lm_head"), {}, {"lm_head"}),
        (("down_proj",), {"lora_target_modules": ["q_proj"]}, {MLP[2]}),
        (("q_proj", "down_proj"), {"lora_target_modules": ["q_proj"]}, {MLP[2]}),
    ],
)
def test_an_adapter_that_would_be_applied_in_part_is_refused_with_the_names(
    qwen: Callable[..., Path], targets: tuple[str, ...], options: Any, left_out: set[str]
) -> None:
    """Also one that would have no effect at all: by the rules of a server, and so of `check`."""
    folder = qwen(*targets)
    base = folder.parent / "base"

    def ask(shapes: BaseShapes) -> Adapted:
        question = {"base": str(base), "options": options, "modules": modules_of(shapes)}
        return Adapted(answer(question)["unadapted"])

    (verdict,) = check([folder], base, max_rank=8, ask=ask)
    assert {reason.code for reason in verdict.reasons} <= {"module_not_adapted"}
    assert {reason.text.split("'")[1] for reason in verdict.reasons} == left_out
    assert verdict.servable == (not left_out)


def test_wrong_options_and_unknown_bases_are_answers(tmp_path: Path) -> None:
    """The process that asks decides what becomes of them."""
    question: dict[str, Any] = {"base": str(tmp_path), "options": {"max_lora": 1}, "modules": []}
    assert "did you mean 'max_loras'" in answer(question)["wrong"]
    (tmp_path / "config.json").write_text('{"model_type": "no_such_type"}')
    assert answer(question | {"options": {}})["unknown"]


def test_the_process_answers_on_the_pipe_alone(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What libraries print goes to the log."""

    def talkative(question: Any) -> dict[str, Any]:
        os.write(1, b"a library's banner\n")
        return {"unadapted": dict.fromkeys(question["modules"], "no layer")}

    monkeypatch.setattr(adapted, "answer", talkative)
    monkeypatch.setattr("sys.stdin", io.StringIO('{"modules": ["lm_head"]}'))
    stdout = os.dup(1)
    try:
        main()
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
    out, err = capfd.readouterr()
    assert json.loads(out) == {"unadapted": {"lm_head": "no layer"}}
    assert "banner" in err
