"""An adapter has the same figures here and behind the server, and lm-eval gets along with it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from lorabay.evaluation.evaluate import Settings, evaluate
from lorabay.evaluation.results import Evaluation
from lorabay.evaluation.served import Endpoint
from tests.e2e.conftest import API_KEY, REPOSITORY
from tests.e2e.server import Server

# Dozens of answers on a CPU that may be busy.
pytestmark = pytest.mark.timeout(1800)

SETTINGS = Settings(limit=6, max_tokens=64, draws=200)
FOLDER = REPOSITORY / "adapters" / "finance"


@pytest.fixture(scope="module")
def served(server: Server, base_folder: Path) -> Evaluation:
    """The base and finance behind the endpoint."""
    endpoint = Endpoint(server.url, API_KEY)
    return evaluate([FOLDER], base_folder, settings=SETTINGS, endpoint=endpoint)


@pytest.fixture(scope="module")
def offline(base_folder: Path) -> Evaluation:
    """The same by transformers and PEFT."""
    return evaluate([FOLDER], base_folder, settings=SETTINGS)


def test_the_answers_are_the_same(served: Evaluation, offline: Evaluation) -> None:
    """Greedy, letter by letter, and so is every score of answers."""
    assert [one.answers for one in served.questions] == [one.answers for one in offline.questions]
    for here, there in zip(offline.scores, served.scores, strict=True):
        assert set(here.figures) == set(there.figures)
        for name in set(here.figures) - {"loss", "perplexity"}:
            assert there[name] == here[name], (here.model, name)


def test_the_loss_is_the_same(served: Evaluation, offline: Evaluation) -> None:
    """To what float32 leaves of it in another order of sums."""
    for here, there in zip(offline.scores, served.scores, strict=True):
        assert there["loss"] == pytest.approx(here["loss"], rel=1e-4)


TASK = """
task: finance
dataset_path: json
dataset_kwargs:
  data_files: {{test: {data}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{instruction}}}}"
doc_to_target: "{{{{output}}}}"
generation_kwargs: {{until: [], max_gen_toks: 32, temperature: 0}}
metric_list: [{{metric: bleu}}, {{metric: chrf}}]
"""


def test_lm_eval_gets_along(
    server: Server, base_folder: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """As a client with a local task, over chats and over plain completions."""
    interpreter = pytestconfig.getoption("--lm-eval")
    if interpreter is None:
        pytest.skip(
            "--lm-eval names the interpreter of an environment with lm-eval[api] and transformers"
        )
    (tmp_path / "finance.yaml").write_text(TASK.format(data=FOLDER / "data" / "heldout.jsonl"))

    chats = _lm_eval(interpreter, tmp_path, f"{server.url}/v1/chat/completions", is_chat=True)
    plain = _lm_eval(
        interpreter,
        tmp_path,
        f"{server.url}/v1/completions,tokenizer={base_folder}",
        is_chat=False,
    )
    assert chats["chrf,none"] > plain["chrf,none"] > 0


def _lm_eval(interpreter: str, folder: Path, address: str, *, is_chat: bool) -> dict[str, float]:
    """Run lm-eval on four questions and return its figures."""
    kind = "local-chat-completions" if is_chat else "local-completions"
    command = [
        *(interpreter, "-m", "lm_eval", "--model", kind, "--tasks", "finance"),
        *("--include_path", str(folder), "--limit", "4", "--output_path", str(folder / kind)),
        *("--model_args", f"model=finance,base_url={address},num_concurrent=4"),
        *(["--apply_chat_template"] if is_chat else []),
    ]
    environment = os.environ | {
        "OPENAI_API_KEY": API_KEY,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(folder / "hub"),
    }
    ran = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=900
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    (results,) = (folder / kind).rglob("results_*.json")
    figures: dict[str, float] = json.loads(results.read_bytes())["results"]["finance"]
    return figures
