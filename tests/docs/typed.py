"""The blocks that a reader would type, and which test runs each.

Every `sh` and `python` block of the pages is in one of three tables, named by its page and its
first line.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.docs.pages import Block, pages

TUTORIAL = "docs/tutorial.md"
TYPED = ("sh", "python")

HERE: frozenset[str] = frozenset(
    {
        "README.md: .venv/bin/lorabay keys create acme --tenant acme --adapters 'shop*' "
        "--expires 90d  # shown this once",
        "docs/guides/adapter-defaults.md: .venv/bin/lorabay check adapters/finance",
        "docs/guides/bring-an-adapter.md: .venv/bin/lorabay check adapters/finance",
        "docs/guides/train.md: .venv/bin/lorabay train adapters/finance --output finance-again",
        "docs/guides/evaluate.md: .venv/bin/lorabay evaluate adapters/finance adapters/ecommerce "
        "--limit 8 --html evaluation.html",
        "docs/guides/merge.md: .venv/bin/lorabay merge finance -o merged/finance",
        "docs/guides/convert-and-compose.md: "
        ".venv/bin/lorabay convert finance -o converted/finance-8 --rank 8 --max-error 1",
        "docs/guides/convert-and-compose.md: "
        ".venv/bin/lorabay convert my-adapters/loha -o converted/loha",
        "docs/guides/convert-and-compose.md: .venv/bin/lorabay inspect finance",
        "docs/guides/convert-and-compose.md: "
        ".venv/bin/lorabay combine my-adapters/both -o converted/both",
    }
)
"""Run by tests/docs/test_typed.py on a tiny base, in the order of the pages."""

ON_THE_ENGINE: frozenset[str] = frozenset(
    {
        "README.md: from openai import OpenAI",
        "docs/guides/bring-an-adapter.md: cp -r adapters/finance my-adapters/bank",
        "docs/guides/bring-an-adapter.md: cp -r adapters/finance my-adapters/.bank-new",
        "docs/guides/adapter-defaults.md: curl -s http://127.0.0.1:8000/v1/chat/completions "
        '-H "Content-Type: application/json" -d \'{',
        "docs/guides/clients.md: import json",
        "docs/guides/clients.md: from anthropic import Anthropic",
        "docs/guides/operate.md: export ADMIN_KEY=learn-the-bay",
        "docs/guides/operate.md: admin POST /admin/rescan",
        "docs/guides/operate.md: admin POST /admin/adapters/finance/rollback",
        "docs/guides/operate.md: admin POST /admin/adapters/finance/pin",
        'docs/guides/operate.md: admin GET "/admin/events?count=5"',
        "docs/guides/operate.md: admin POST /admin/adapters/finance/unload",
        "docs/guides/bench.md: .venv/bin/lorabay bench --url http://127.0.0.1:8000 --concurrency 2",
        "docs/reference/http.md: curl -s http://127.0.0.1:8000/v1/chat/completions "
        '-H "Content-Type: application/json" -d \'{',
        "docs/reference/metrics.md: "
        "curl -s http://127.0.0.1:8000/metrics | grep '^lorabay_adapter_state'",
        "docs/contributing/change-the-console.md: curl -s http://127.0.0.1:8000/admin/adapters "
        '-H "Authorization: Bearer $ADMIN_KEY"',
    }
)
"""Run by tests/e2e/test_tutorial.py against the server that the tutorial starts, beside the
tutorial's own blocks.
"""

WITH_ACCOUNTS: frozenset[str] = frozenset(
    {
        "docs/guides/tenants.md: "
        "lorabay keys create ledger-bot --tenant finance --adapters 'finance,base'",
        "docs/guides/tenants.md: ask() {",
        "docs/guides/tenants.md: lorabay usage --by tenant,adapter",
        "docs/guides/tenants.md: lorabay database upgrade",
        "docs/guides/usage.md: lorabay usage --by key,adapter --since 2026-11-01",
    }
)
"""Run by tests/e2e/test_tenants.py in one shell, against a server with accounts."""

_STARTS_A_SERVER = "starts a server that runs until it is stopped; the tutorial starts one"
_POOLS = "needs a base that pools; tests/e2e/test_pooling.py asks tiny ones the same"
_DOCKER = "needs Docker and minutes of building; names of profiles are checked"
_REMOTE = (
    "needs a bucket of one's own; tests/cli/test_sources.py types the same for a real one here"
)
_CHECKOUT = "commands of a checkout: they would install or test themselves"
_AUDIT = "needs changes of your own; tests/cli/test_audit.py runs the command"
_JUDGES = "needs answers and people; tests/cli/test_judge.py runs the commands"
_ROLLS = "needs two versions and traffic; tests/e2e/test_rollout.py rolls out over HTTP"
_FIGURES = "figures of a company's; tests/cli/test_advise.py runs the command with such"
_CLIMBS = "takes hours; tests/cli/test_ladder.py climbs on a tiny base"
_SEARCHES = "takes hours; tests/search/test_search.py searches on a tiny base"
_EVALUATES = "needs a server and lm-eval; tests/e2e/test_evaluate.py asks both"
_DOMAINS = "takes hours; tests/data/test_transcripts.py makes transcripts and prepares them"
_ROUTES = "tests/e2e/test_auto.py trains such a router; tests/cli/test_route.py runs the commands"
_DATA = "needs files of your own; tests/cli/test_data.py runs the command"

CHECKED: Mapping[str, str] = {
    f"{TUTORIAL}: make setup": "would install into the environment that runs the tests",
    "README.md: cp -r adapters my-adapters": _STARTS_A_SERVER,
    "README.md: ask() {": "the tutorial in short: a test finds each of its steps there",
    "README.md: .venv/bin/lorabay serve --base /models/Llama-3.1-8B-Instruct "
    "--adapters /models/adapters \\": "needs a GPU and a model of 16 GB",
    "docs/guides/operate.md: "
    ".venv/bin/lorabay serve --adapters my-adapters --admin-key learn-the-bay": _STARTS_A_SERVER,
    "docs/guides/merge.md: .venv/bin/lorabay merge ecommerce -o merged/ecommerce": _STARTS_A_SERVER,
    "docs/guides/merge.md: .venv/bin/lorabay serve --adapters adapters": _STARTS_A_SERVER,
    "docs/guides/bench.md: .venv/bin/lorabay bench gateway --rounds 5": "takes an hour",
    "docs/guides/ray.md: .venv/bin/lorabay ray deploy --base /models/base "
    "--adapters /models/adapters --ray-replicas 4 --ray-gpus 1": "needs four GPUs",
    "docs/guides/placement.md: .venv/bin/lorabay bench placement --requests 5000 --replicas 8 "
    "--slots 32 --count 1000": "tests/bench/scenarios/test_placement.py runs it, shorter",
    "docs/guides/bench.md: "
    "export LORABAY_DATABASE=postgresql://USER:PASSWORD@HOST/NAME": "takes half an hour",
    "docs/guides/docker-and-gpu.md: export LORABAY_API_KEY=choose-a-long-random-text": _DOCKER,
    "docs/guides/alerts.md: export LORABAY_API_KEY=choose-a-long-random-text": _DOCKER,
    "docs/guides/alerts.md: .venv/bin/python -m deploy.grafana": _CHECKOUT,
    "docs/guides/docker-and-gpu.md: docker compose -f deploy/compose.yaml --profile gpu "
    "--profile monitoring up --build": _DOCKER,
    "docs/guides/docker-and-gpu.md: .venv/bin/lorabay bench tune "
    "--base /models/Llama-3.1-8B-Instruct --engine max_loras=8 --output lora-kernels": "a GPU",
    "docs/guides/docker-and-gpu.md: .venv/bin/lorabay serve --base /models/Llama-3.1-8B-Instruct "
    "--adapters /models/adapters \\": "needs a GPU and a model of 16 GB",
    "docs/guides/docker-and-gpu.md: .venv/bin/lorabay serve "
    """--engine 'lora_target_modules=["q_proj","k_proj","v_proj","o_proj"]'""": _STARTS_A_SERVER,
    "docs/guides/pooling.md: .venv/bin/lorabay serve --base /models/Qwen3-Embedding-0.6B "
    "--adapters /models/embedders": _POOLS,
    "docs/guides/pooling.md: from openai import OpenAI": _POOLS,
    "docs/guides/tenants.md: "
    ".venv/bin/pip install --no-deps -r requirements/accounts.txt": _CHECKOUT,
    "docs/guides/tenants.md: "
    "lorabay serve --adapters adapters --admin-key-file /run/secrets/admin": _STARTS_A_SERVER,
    "docs/guides/audit.md: lorabay audit list": _AUDIT,
    "docs/guides/audit.md: lorabay audit verify --json": _AUDIT,
    "docs/guides/roles.md: "
    "lorabay serve --oidc-issuer https://login.example.com/realms/company \\": _STARTS_A_SERVER,
    "docs/guides/console.md: lorabay serve --admin-key KEY --upload-mib 500": _STARTS_A_SERVER,
    "docs/guides/console.md: curl -T run-7.tar.gz http://127.0.0.1:8000/admin/adapters/finance-7 "
    '-H "Authorization: Bearer $ADMIN_KEY"': "needs an archive of your own; "
    "tests/server/test_uploads.py sends one",
    "docs/guides/console.md: curl -T run-8.tar.gz "
    '"http://127.0.0.1:8000/admin/adapters/finance-7?seen=finance-7@3f9c1a2b4d5e" \\': "needs an "
    "archive of your own; tests/console/test_uploads.py sends a new version",
    "docs/guides/sources.md: pip install 'lorabay[sources]'": _REMOTE,
    "docs/guides/sources.md: lorabay push adapters/finance s3://acme-models/adapters": _REMOTE,
    "docs/guides/tracing.md: docker run --rm -p 127.0.0.1:4318:4318 -p 127.0.0.1:16686:16686 "
    "jaegertracing/jaeger:2.15.0": "needs Docker; tests/e2e/test_tracing.py has a collector",
    "docs/guides/data.md: .venv/bin/lorabay data prepare exports/ chats.txt -o prepared": _DATA,
    "docs/guides/data.md: .venv/bin/lorabay data prepare tickets.csv -o prepared "
    "--fields instruction=ask,output=reply": _DATA,
    "docs/guides/data.md: .venv/bin/lorabay data prepare chats.jsonl -o prepared "
    "--base /models/Llama-3.1-8B-Instruct --max-tokens 2048 --system move": _DATA,
    "docs/guides/deidentify.md: "
    ".venv/bin/lorabay data deidentify exports/ -o clean --key-file /keys/deidentify": _DATA,
    "docs/guides/deidentify.md: .venv/bin/lorabay data prepare exports/ -o prepared "
    "--deidentify surrogates --key-file /keys/deidentify": _DATA,
    "docs/guides/deidentify.md: openssl rand -hex 32 > /keys/deidentify": _DATA,
    "docs/guides/judge.md: "
    ".venv/bin/lorabay judge make base.jsonl finance.jsonl -o blind "
    "--judge anna --judge ben": _JUDGES,
    "docs/guides/rollout.md: lorabay rollout start finance --version 3f9c1a2b4d5e "
    "--share 10": _ROLLS,
    "docs/guides/advise.md: lorabay usage --by day,adapter --json > usage.json": _FIGURES,
    "docs/guides/judge.md: "
    ".venv/bin/lorabay evaluate adapters/finance --json > evaluation.json": _JUDGES,
    "docs/guides/judge.md: "
    ".venv/bin/lorabay judge make -o blind --judge anna --ask base --ask finance \\": _JUDGES,
    "docs/guides/advise.md: "
    ".venv/bin/lorabay advise --base-gib 15 --adapter-mib 160 --memory-gib 80 "
    "--domains 3": _FIGURES,
    "docs/guides/advise.md: "
    ".venv/bin/lorabay advise --base-gib 15 --adapter-mib 160 --memory-gib 80 "
    "--speed 2500 \\": _FIGURES,
    "docs/guides/ladder.md: "
    '.venv/bin/lorabay ladder adapters/tech-support --target "rouge_l>=35 and loss<=1.6"': _CLIMBS,
    "docs/guides/search.md: "
    ".venv/bin/lorabay search adapters/ecommerce -o search-ecommerce": _SEARCHES,
    "docs/guides/search.md: "
    ".venv/bin/lorabay search adapters/ecommerce -o search-ecommerce --by judge "
    "--judge anna --judge ben": _SEARCHES,
    "docs/guides/three-domains.md: .venv/bin/python -m tests.data.transcripts raw": _DOMAINS,
    "docs/guides/three-domains.md: for domain in ecommerce finance tech-support; do": _DOMAINS,
    "docs/guides/three-domains.md: "
    ".venv/bin/python -m tests.data.transcripts.counted raw/ecommerce prepared/ecommerce": _DOMAINS,
    "docs/guides/three-domains.md: cp -r adapters domains": _DOMAINS,
    "docs/guides/three-domains.md: .venv/bin/lorabay judge make evaluation-finance.json "
    "--only finance --only finance-2 -o blind-finance --judge anna --judge ben": _DOMAINS,
    "docs/guides/three-domains.md: cp trained/finance-2/adapter_model.safetensors "
    "trained/finance-2/adapter_config.json my-adapters/finance/": _DOMAINS,
    "docs/guides/evaluate.md: .venv/bin/lorabay evaluate adapters/finance "
    "--url http://127.0.0.1:8000 --limit 8": _EVALUATES,
    "docs/guides/evaluate.md: "
    "lm_eval --model local-chat-completions --tasks finance --include_path . "
    "--apply_chat_template \\": _EVALUATES,
    "docs/guides/auto.md: .venv/bin/lorabay route train \\": _ROUTES,
    "docs/guides/auto.md: .venv/bin/lorabay route check router \\": _ROUTES,
    "docs/guides/auto.md: "
    ".venv/bin/lorabay serve --adapters adapters --router router": _STARTS_A_SERVER,
    "docs/guides/mixtures.md: "
    ".venv/bin/lorabay serve --adapters adapters --max-mixtures 8": _STARTS_A_SERVER,
    "docs/guides/whole-models.md: .venv/bin/lorabay serve --adapters /models/adapters "
    "--max-models 1": _STARTS_A_SERVER,
    "docs/reference/settings.md: .venv/bin/lorabay serve --port 8080": _STARTS_A_SERVER,
    "docs/reference/settings.md: "
    ".venv/bin/lorabay serve --engine max_model_len=4096 --engine dtype=float32": _STARTS_A_SERVER,
}
"""Not run. Their commands, flags, targets and paths are checked by tests/docs/test_reference.py."""

CHECKED_PAGES: Mapping[str, str] = {
    "docs/log/": "takes hours; the log says what came out",
    "docs/contributing/add-": _CHECKOUT,
    "docs/contributing/change-eviction": _CHECKOUT,
    "CONTRIBUTING.md": _CHECKOUT,
}
"""Pages of which no block is run, by the beginning of their names."""


def name_of(block: Block) -> str:
    """Return the name of a block in these tables."""
    return f"{block.page}: {block.first_line}"


def typed_blocks() -> list[Block]:
    """Return all blocks that a reader would type."""
    return [block for page in pages() for block in page.blocks(*TYPED)]


def blocks_of(table: frozenset[str]) -> list[Block]:
    """Return the blocks of a table, in the order of the pages."""
    return [block for block in typed_blocks() if name_of(block) in table]
