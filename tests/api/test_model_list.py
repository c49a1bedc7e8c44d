"""`GET /v1/models` and `GET /v1/models/{id}`."""

from __future__ import annotations

import time
from typing import Any

import pytest
from anthropic.types import ModelInfo

from lorabay.api.request.anthropic_clients import VERSION_HEADER
from lorabay.catalog.adapter_defaults import AdapterDefaults
from tests.api.conftest import FINANCE, FINANCE_BEFORE, Api, client_of, make_app, parts_over
from tests.fake_engine import FakeEngine
from tests.fake_models import FakeModels
from tests.versions import make_model, make_version


async def test_the_list_holds_the_base_and_every_adapter(api: Api) -> None:
    """Each name is listed once; adapters have the base's first name as their parent."""
    listing = (await api.http.get("/v1/models")).json()
    assert listing["object"] == "list"
    assert [(card["id"], card["parent"], card["root"]) for card in listing["data"]] == [
        ("tiny", None, "tiny"),
        ("org/tiny", None, "org/tiny"),
        ("finance", "tiny", "tiny"),
        ("shop", "tiny", "tiny"),
    ]


async def test_what_answers_404_is_not_listed(api: Api) -> None:
    """An adapter whose live version is refused is neither listed nor described; a former version
    of it that may be loaded still is.
    """
    api.weights.refused.add(FINANCE)
    cards = (await api.http.get("/v1/models")).json()["data"]
    assert [card["id"] for card in cards] == ["tiny", "org/tiny", "shop"]
    for model in ("finance", FINANCE.id, "tiny:finance"):
        assert (await api.http.get(f"/v1/models/{model}")).status_code == 404
    assert (await api.http.get(f"/v1/models/{FINANCE_BEFORE.id}")).status_code == 200


async def test_a_card_is_what_openai_clients_read(api: Api) -> None:
    """An entry has type, owner, context length and the time of the server's start."""
    cards = (await api.http.get("/v1/models")).json()["data"]
    for card in cards:
        assert (card["object"], card["owned_by"], card["max_model_len"]) == (
            "model",
            "lorabay",
            2048,
        )
        assert abs(card["created"] - time.time()) < 60
    assert len({card["created"] for card in cards}) == 1


async def test_a_whole_model_is_nobodys_child(api: Api) -> None:
    """It has a context of its own, once its engine is up."""
    api.registry.set_live(make_model("bank", "d"))
    models = FakeModels()
    async with client_of(make_app(parts_over(api.registry, models=models))) as http:
        card = (await http.get("/v1/models/bank")).json()
        assert (card["parent"], card["root"], card["max_model_len"]) == (None, "bank", 2048)
        models.engine = FakeEngine()
        models.engine.max_model_len = 4096
        assert (await http.get("/v1/models/bank")).json()["max_model_len"] == 4096


async def test_no_host_paths(api: Api) -> None:
    """No answer shows where weights lie on the server."""
    for path in ("/v1/models", "/v1/models/finance", f"/v1/models/{FINANCE.id}", "/v1/models/tiny"):
        assert str(FINANCE.path.parent) not in (await api.http.get(path)).text


@pytest.mark.parametrize(
    ("model", "parent"),
    [
        ("tiny", None),
        ("org/tiny", None),
        ("finance", "tiny"),
        (FINANCE.id, "tiny"),
        (FINANCE_BEFORE.id, "tiny"),
        ("tiny:finance", "tiny"),
        ("org/tiny:finance", "tiny"),
    ],
)
async def test_one_model_by_any_form_of_its_name(api: Api, model: str, parent: str | None) -> None:
    """Every `model` that a request may use can be described, which counts as no use."""
    before = api.registry.snapshot()
    card = (await api.http.get(f"/v1/models/{model}")).json()
    assert (card["id"], card["parent"]) == (model, parent)
    assert api.registry.snapshot() == before


@pytest.mark.parametrize(
    "model", ["nobody", "", "finance@" + "f" * 12, "org", "org/", "org/tiny/", "%F0%9F%98%80"]
)
async def test_an_unknown_model_is_404(api: Api, model: str) -> None:
    """An unknown model is a 404 that names no other."""
    response = await api.http.get(f"/v1/models/{model}")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"
    assert "shop" not in response.text


async def test_the_list_follows_the_registry(api: Api) -> None:
    """A removed adapter is gone from the next answer."""
    api.registry.remove("finance")
    assert "finance" not in (await api.http.get("/v1/models")).text
    assert (await api.http.get("/v1/models/finance")).status_code == 404


async def test_models_are_listed_while_the_engine_starts(api: Api) -> None:
    """Models are listed before the engine is up; only the context length is missing."""
    api.engine.up, api.engine.max_model_len = False, None
    cards = (await api.http.get("/v1/models")).json()["data"]
    assert len(cards) == 4
    assert {card["max_model_len"] for card in cards} == {None}


async def test_an_adapter_is_described_as_it_describes_itself(api: Api) -> None:
    """Each version by its own file; one that says nothing, and the base, have no such field."""
    said = AdapterDefaults(description="Advice", tags=("finance", "zh"))
    described = make_version("finance", "d", weights="a", defaults=said)
    api.registry.set_live(described)
    cards = {card["id"]: card for card in (await api.http.get("/v1/models")).json()["data"]}
    assert cards["finance"]["description"] == "Advice"
    assert cards["finance"]["tags"] == ["finance", "zh"]
    assert not {"description", "tags"} & {*cards["shop"], *cards["tiny"]}
    former = (await api.http.get(f"/v1/models/{FINANCE.id}")).json()
    assert "description" not in former
    whole = (await api.http.get(f"/v1/models/{described.id}")).json()
    assert whole["description"] == "Advice"


ANTHROPIC = {VERSION_HEADER: "2023-06-01"}


def model_info(model: dict[str, Any]) -> ModelInfo:
    """Return a model as the package reads it, if it is strict about it."""
    return ModelInfo.model_validate(model)


async def test_models_are_listed_in_the_form_of_the_package(api: Api) -> None:
    """The names are those of the other form, on one page, and each entry is whole."""
    page = (await api.http.get("/v1/models", headers=ANTHROPIC)).json()
    others = (await api.http.get("/v1/models")).json()["data"]
    models = [model_info(model) for model in page["data"]]
    assert [model.id for model in models] == [card["id"] for card in others]
    assert (page["has_more"], page["first_id"], page["last_id"]) == (False, "tiny", "shop")
    for model, card in zip(models, others, strict=True):
        assert (model.display_name, model.max_input_tokens) == (card["id"], 2048)
        assert int(model.created_at.timestamp()) == card["created"]


async def test_one_model_is_described_in_it(api: Api) -> None:
    """And one that does not exist is a 404 for this package, too."""
    model = model_info((await api.http.get("/v1/models/finance", headers=ANTHROPIC)).json())
    assert (model.id, model.type) == ("finance", "model")
    assert (await api.http.get("/v1/models/finanec", headers=ANTHROPIC)).status_code == 404
