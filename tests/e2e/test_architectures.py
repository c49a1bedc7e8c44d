"""The real engine answers like PEFT on tiny bases of the architectures that it runs on a CPU.

Runs with `--matrix` alone: each architecture has an engine of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import peft
import pytest
import torch

from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.tools.convert import ConvertSettings, convert
from tests.e2e.folders import eventually
from tests.e2e.server import Server
from tests.matrix.architectures import ARCHITECTURES, VOCABULARY, Architecture
from tests.matrix.layouts import LAYOUTS, OWN_FORMATS, Original
from tests.peft_adapters import randomise
from tests.tokenizers import save_numbered_tokenizer

pytestmark = pytest.mark.timeout(600)

KEY = "key-for-tests"
PROMPT = list(range(3, 35))
RANK, ALPHA = 4, 12

TOLERANCE = 1e-3
"""Of a log-probability of the next token, over the whole vocabulary, in float32."""

ON_A_CPU = (
    "Llama",
    "Mixtral",
    "Qwen3-MoE",
    "Mistral",
    "Qwen2",
    "Qwen3",
    "Phi-3",
    "Gemma 3 (text)",
    "Gemma 4 (text)",
    "gpt-oss",
)
"""DeepSeek-V2 is not among them: vLLM 0.32 itself, without adapters, answers wrongly with latent
attention on a CPU, and not alike to equal prompts of one batch.
"""

LogProbs = Mapping[int, float]


@pytest.mark.parametrize("name", ON_A_CPU)
def test_every_layout_answers_like_peft(name: str, tmp_path: Path, figures: list[str]) -> None:
    """The base and its adapter in every trainer's layout, in one batch: each log-probability."""
    architecture = ARCHITECTURES[name]
    base = save_numbered_tokenizer(architecture.make_base(tmp_path / "base"), VOCABULARY)
    plain, adapted, folder = expected(architecture, base, tmp_path / "original")
    names = layouts(architecture, base, folder, tmp_path)

    with served(base, tmp_path) as http:
        wanted = {"base": plain} | dict.fromkeys(names, adapted)
        eventually(lambda: wanted.keys() <= listed(http), f"the adapters {names} are listed")
        with ThreadPoolExecutor(len(wanted)) as pool:
            found = dict(zip(wanted, pool.map(lambda one: ask(http, one), wanted), strict=True))

    differences = {one: difference(found[one], wanted[one]) for one in wanted}
    moved = difference(plain, adapted)
    figures.append(
        f"{name} on the CPU engine: log-probabilities of the base within "
        f"{differences.pop('base'):.1e} of transformers', of {', '.join(differences)} within "
        f"{max(differences.values()):.1e} of PEFT's; the adapter moves them by {moved:.1f}"
    )
    assert max(differences.values()) <= TOLERANCE
    assert moved > 100 * TOLERANCE


def expected(
    architecture: Architecture, base: Path, folder: Path
) -> tuple[LogProbs, LogProbs, Path]:
    """Train an adapter; return what base and adapter answer, and the adapter's folder."""
    model = architecture.load(base)
    plain = log_probs(model)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=RANK,
        lora_alpha=ALPHA,
        target_modules=architecture.language_model_targets,
    )
    with quiet_transformers():
        wrapped = peft.get_peft_model(model, config)
        randomise(wrapped, 1, 0.1)
        wrapped.save_pretrained(folder)
    return plain, log_probs(wrapped.eval()), folder


def log_probs(model: Any) -> LogProbs:
    with torch.no_grad():
        last = model(torch.tensor([PROMPT])).logits[0, -1]
    return dict(enumerate(torch.log_softmax(last, dim=-1).tolist()))


def layouts(architecture: Architecture, base: Path, folder: Path, tmp_path: Path) -> list[str]:
    """Put the adapter in every layout into the directory of adapters; return their names."""
    names: list[str] = []
    for layout, write in LAYOUTS.items():
        name = layout.replace(", ", "-").replace(" ", "-").lower()
        left = write(Original(architecture, folder, None), tmp_path / "left" / name)
        if left is None:
            continue
        target = tmp_path / "adapters" / name
        target.parent.mkdir(exist_ok=True)
        if layout in OWN_FORMATS:
            convert(left, base, target, ConvertSettings())
        else:
            shutil.copytree(left, target)
        names.append(name)
    return names


@contextmanager
def served(base: Path, folder: Path) -> Iterator[httpx.Client]:
    """Have a server of a base and its adapters within the block."""
    arguments = ["--base", str(base), "--adapters", str(folder / "adapters")]
    arguments += ["--store", str(folder / "store"), "--api-key", KEY, "--grace-s", "5"]
    arguments += ["--max-top-logprobs", str(VOCABULARY)]
    options = ("dtype=float32", "enforce_eager=true", "max_model_len=128")
    for option in (*options, f"max_logprobs={VOCABULARY}"):
        arguments += ["--engine", option]

    with Server(arguments, log=folder / "server.log") as server:
        server.wait_for("ready")
        headers = {"authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=server.url, headers=headers, timeout=120) as http:
            yield http


def listed(http: httpx.Client) -> set[str]:
    return {model["id"] for model in http.get("/v1/models").json()["data"]}


def ask(http: httpx.Client, model: str) -> LogProbs:
    """Return the log-probability of every token after the prompt."""
    body = {
        "model": model,
        "prompt": PROMPT,
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": VOCABULARY,
        "return_tokens_as_token_ids": True,
    }
    answer = http.post("/v1/completions", json=body)
    assert answer.status_code == 200, answer.text
    (top,) = answer.json()["choices"][0]["logprobs"]["top_logprobs"]
    return {int(token.removeprefix("token_id:")): value for token, value in top.items()}


def difference(one: LogProbs, two: LogProbs) -> float:
    assert one.keys() == two.keys()
    return max(abs(one[token] - two[token]) for token in one)
