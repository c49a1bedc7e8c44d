"""One real engine for the whole run, in float32 so that its tokens can be compared with PEFT's
exactly.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import httpx
import pytest
from openai import OpenAI

from lorabay.base.default import cache_folder, prepare
from tests.e2e import dora as dora_module, words as words_module
from tests.e2e.dora import train_dora
from tests.e2e.server import Server
from tests.e2e.words import train_words
from tests.fixtures.otlp import Collector

REPOSITORY = Path(__file__).parents[2]
ADAPTERS = ("finance", "ecommerce", "tech-support")
BASE = "SmolLM2-135M-Instruct"
MODELS = (BASE, *ADAPTERS)
API_KEY = "key-for-tests"
ADMIN_KEY = "admin-key-for-tests"
CONTEXT = 2048
HANG_S = 20

# A handle's thread that outlives a test's connection to Ray would start another cluster.
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")

OPTIONAL = {
    "test_architectures.py": "--matrix",
    "test_bucket_scale.py": "--bucket-adapters",
    "test_clients.py": "--clients",
    "test_cold_adapters.py": "--cold-adapters",
    "test_console_idle.py": "--console-idle",
    "test_fairness.py": "--fairness",
    "test_first_minute.py": "--first-minute",
    "test_idle_hangs.py": "--engine-hangs",
    "test_merged.py": "--merged",
    "test_mixed_usage.py": "--mixed-usage",
    "test_neighbours.py": "--neighbours",
    "test_pooling.py": "--pooling",
    "test_ray.py": "--ray",
    "test_ray_fakes.py": "--ray",
    "test_ray_front.py": "--ray",
    "test_ray_fronts.py": "--ray",
    "test_ray_partition.py": "--partition",
    "test_ray_scaling.py": "--ray",
    "test_ray_stock.py": "--ray",
    "test_strangers.py": "--strangers",
    "test_whole_models.py": "--whole-models",
}
"""Files that take minutes, and the option that each of them waits for."""

FIRST, LAST = (
    (
        "test_architectures.py",
        "test_merged.py",
        "test_pooling.py",
        "test_ray.py",
        "test_ray_fakes.py",
        "test_ray_front.py",
        "test_ray_fronts.py",
        "test_ray_partition.py",
        "test_ray_scaling.py",
        "test_ray_stock.py",
        "test_bucket_scale.py",
        "test_tutorial.py",
        "test_store_disk.py",
        "test_cold_adapters.py",
        "test_fairness.py",
        "test_first_minute.py",
        "test_whole_models.py",
    ),
    (
        "test_alerts.py",
        "test_engine_death.py",
        "test_hanging_engine.py",
        "test_idle_hangs.py",
        "test_server_death.py",
        "test_shutdown.py",
    ),
)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what was not asked for."""
    option = OPTIONAL.get(collection_path.name)
    return True if option is not None and not config.getoption(option) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test here. Those with an engine of their own run before the shared one starts;
    those that kill that, or the server, run last."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.engine)
    first, last = (
        [item for name in names for item in here if item.path.name == name]
        for names in (FIRST, LAST)
    )
    items[:] = first + [item for item in items if item not in first + last] + last


@pytest.fixture(scope="session")
def base_folder() -> Path:
    return prepare(cache_folder())


@pytest.fixture(scope="session")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapter directory of the shared server: copies of the repository's adapters, and what
    tests drop in.
    """
    folder = tmp_path_factory.mktemp("adapters")
    for name in ADAPTERS:
        shutil.copytree(REPOSITORY / "adapters" / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def words(base_folder: Path, request: pytest.FixtureRequest) -> dict[str, Path]:
    """Two adapters that answer everything with one word, "red" and "blue"."""
    return trained(
        request, words_module, ("red", "blue"), lambda folders: train_words(base_folder, folders)
    )


@pytest.fixture(scope="session")
def dora(base_folder: Path, request: pytest.FixtureRequest) -> Path:
    """A DoRA adapter that has learnt a part of the shop's data."""
    data = REPOSITORY / "adapters" / "ecommerce" / "data"
    return trained(
        request, dora_module, ("dora",), lambda folders: train_dora(base_folder, data, folders)
    )["dora"]


def trained(
    request: pytest.FixtureRequest,
    recipe: ModuleType,
    names: Sequence[str],
    train: Callable[[dict[str, Path]], None],
) -> dict[str, Path]:
    """Adapters by name, trained before a server that runs takes the CPU.

    Training takes minutes on a busy machine, so a later run finds them in pytest's cache while the
    recipe is the same.
    """
    seal = hashlib.sha256(Path(str(recipe.__file__)).read_bytes()).hexdigest()[:16]
    cache: pytest.Cache = request.config.cache
    folder = cache.mkdir(f"{names[0]}-{seal}")
    unfinished = {
        name: folder / f".{name}-{os.getpid()}" for name in names if not (folder / name).exists()
    }
    train(unfinished)
    for name, path in unfinished.items():
        path.rename(folder / name)
    return {name: folder / name for name in names}


@pytest.fixture(scope="session")
def store_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the shared server."""
    return tmp_path_factory.mktemp("server") / "store"


@pytest.fixture(scope="session")
def accounts(store_folder: Path) -> Path:
    """The database of the shared server's accounts."""
    return store_folder.with_name("accounts.db")


@pytest.fixture(scope="session")
def router(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The router of the shared server, trained from what its adapters have learnt."""
    from lorabay.routing.prompts import general_prompts, read_prompts
    from lorabay.routing.train import train_router

    prompts = general_prompts()
    for name in ADAPTERS:
        data = REPOSITORY / "adapters" / name / "data"
        prompts += [*read_prompts(data, name), *read_prompts(data / "questions.txt", name)]
    folder = tmp_path_factory.mktemp("routers") / "router"
    train_router(prompts, base_folder).write(folder)
    return folder


@pytest.fixture(scope="session")
def server(
    base_folder: Path,
    adapters: Path,
    store_folder: Path,
    accounts: Path,
    shared_collector: Collector,
    router: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Server]:
    arguments = [
        *(
            "--base",
            str(base_folder),
            "--adapters",
            str(adapters),
            "--store",
            str(store_folder),
            "--database",
            f"sqlite:///{accounts}",
        ),
        *(
            "--api-key",
            API_KEY,
            "--admin-key",
            ADMIN_KEY,
            "--grace-s",
            "60",
            "--settle-s",
            "0.5",
            "--poll-s",
            "2",
            "--upload-mib",
            "500",
        ),
        *("--router", str(router), "--max-mixtures", "4"),
        *("--engine-hang-s", str(HANG_S), "--otlp-endpoint", shared_collector.url),
        *("--engine", "dtype=float32", "--engine", f"max_model_len={CONTEXT}"),
    ]
    with Server(arguments, log=store_folder.with_name("server.log")) as running:
        # A server that starts leaves one of two processors to others.
        for trained_meanwhile in ("words", "dora"):
            request.getfixturevalue(trained_meanwhile)
        running.wait_for("ready")
        yield running


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key=API_KEY, timeout=120, max_retries=0) as openai:
        yield openai


@pytest.fixture(scope="session")
def http(server: Server) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {API_KEY}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=120) as plain:
        yield plain


@pytest.fixture(scope="session")
def admin(server: Server) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=120) as plain:
        yield plain
