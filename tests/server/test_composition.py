"""The parts of a server, as its settings and its directory decide them."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import fields, replace
from pathlib import Path

import pytest
import structlog

from lorabay.base.shapes import BaseShapes
from lorabay.base.weights import BaseWeights
from lorabay.catalog.adapted import Adapted, NotAsked
from lorabay.catalog.storage.stored_version import MANIFEST_FILE
from lorabay.catalog.versions import Version
from lorabay.catalog.whole_model import ModelChecks
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import SCALES_FILE
from lorabay.reconcile.reconciler import Reconciler
from lorabay.reconcile.unread_versions import UnreadVersions
from lorabay.server.composition import grammar_limits, records_key, request_limits
from lorabay.serving.grammars import GrammarLimits
from lorabay.settings import RequestSettings, Settings
from tests import making, mixtures, peft_adapters
from tests.failing_disk import ERRORS, FailingDisk
from tests.server.directories import changed, directory_of, read


def test_a_former_dora_version_stays_away_from_an_engine_that_scales_nothing(
    settings: Settings, base: Path
) -> None:
    """It would answer without its factors; a server that scales outputs finds it again."""
    reconciler = directory_of(settings)
    read(reconciler)
    weights = BaseWeights.open(base)
    scale_outputs(reconciler, weights)
    names = [status.name for status in directory_of(settings).registry.snapshot() if status.kept]
    assert names == []
    scaling = directory_of(settings, weights)
    assert [status.name for status in scaling.registry.snapshot() if status.kept] == ["finance"]


def test_a_former_version_stays_away_from_an_engine_that_adapts_less(settings: Settings) -> None:
    """It would answer with a part of itself; an engine that adapts all its modules finds it."""
    read(directory_of(settings))

    def kept(**engine: object) -> list[str]:
        reconciler = directory_of(changed(settings, engine=engine))
        return [status.name for status in reconciler.registry.snapshot() if status.kept]

    assert kept(lora_target_modules=["q_proj"]) == []
    assert kept(lora_target_modules=["q_proj", "v_proj"]) == ["finance"]


def test_a_former_version_stays_away_from_an_engine_that_leaves_a_module_alone(
    settings: Settings,
) -> None:
    """What the engine says is held against the whole names in the stored file."""
    read(directory_of(settings))

    def kept(*unadapted: str) -> list[str]:
        reconciler = directory_of(settings, adapted=Adapted(dict.fromkeys(unadapted, "no layer")))
        return [status.name for status in reconciler.registry.snapshot() if status.kept]

    assert kept("model.layers.1.self_attn.v_proj") == []
    assert kept("model.layers.1.mlp.down_proj") == ["finance"]


def test_adapters_are_held_against_what_the_engine_says(settings: Settings) -> None:
    """A folder that the engine would apply in part is rejected before it is loaded."""
    adapted = Adapted({"model.layers.1.self_attn.v_proj": "no layer"})
    reconciler = directory_of(settings, adapted=adapted)
    read(reconciler)
    (status,) = reconciler.registry.snapshot()
    assert [reason.code for reason in status.reasons] == ["module_not_adapted"]


def test_an_engine_that_could_not_be_asked_is_told(settings: Settings) -> None:
    """Its options still decide, and the log says why no more is known."""
    with structlog.testing.capture_logs() as logs:
        reconciler = directory_of(settings, adapted=NotAsked("vLLM knows no such base"))
    (line,) = [line for line in logs if "not asked" in line["event"]]
    assert line["reason"] == "vLLM knows no such base"
    read(reconciler)
    assert reconciler.registry.names() == ("finance",)


def test_a_former_version_on_experts_stays_away_from_an_engine_on_processors(
    settings: Settings, tmp_path: Path
) -> None:
    """A store may be used by a host with a GPU first, and by one without it later."""
    mixture = mixtures.make_base("Qwen3-MoE", tmp_path / "mixture")
    made = peft_adapters.make(mixture, tmp_path / "made", mixtures.on_experts)
    shutil.rmtree(Path(settings.adapters[0]) / "finance")
    shutil.copytree(made.folder, Path(settings.adapters[0]) / "experts")
    on_mixture = changed(settings, base=str(mixture))

    def kept(*, adapts_experts: bool) -> list[str]:
        reconciler = directory_of(on_mixture, adapts_experts=adapts_experts)
        if adapts_experts:
            read(reconciler)
        return [status.name for status in reconciler.registry.snapshot() if status.kept]

    assert kept(adapts_experts=True) == ["experts"]
    assert kept(adapts_experts=False) == []


def test_dora_that_was_asked_for_in_vain_is_told(settings: Settings, base: Path) -> None:
    """Options of the engine may rule it out; the operator should not learn it from a refusal."""
    asked = changed(settings, dora=True)

    def lines(weights: BaseWeights | None) -> list[str]:
        with structlog.testing.capture_logs() as logs:
            directory_of(asked, weights)
        return [line["event"] for line in logs if "DoRA" in line["event"]]

    assert len(lines(None)) == 1
    assert lines(BaseWeights.open(base)) == []


def test_an_adapter_is_refused_that_the_engine_would_apply_in_part(settings: Settings) -> None:
    """The engine's own option decides what the folders are held against."""
    less = changed(settings, engine={"lora_target_modules": ["v_proj"]})
    reconciler = directory_of(less)
    read(reconciler)
    (status,) = reconciler.registry.snapshot()
    assert str(status.state) == "rejected"


@pytest.mark.parametrize(("dtype", "is_narrow"), [("half", True), ("bfloat16", False)])
def test_values_are_held_against_the_engines_type(
    settings: Settings, dtype: str, is_narrow: bool
) -> None:
    """float16 has a small largest number; it decides what a folder is remembered as, too."""
    reconciler = directory_of(changed(settings, engine={"dtype": dtype}))
    same = reconciler.ingest.identity == directory_of(settings).ingest.identity
    assert same != is_narrow


def only_version(reconciler: Reconciler) -> Version:
    """Return the one version that is live, when a restart would know of it."""
    (version,) = reconciler.declared()
    assert reconciler.registry.flush(30)
    return version


def scale_outputs(reconciler: Reconciler, weights: BaseWeights) -> Version:
    """Make the one version that is live a DoRA one, computed from these weights of the base."""
    version = only_version(reconciler)
    (version.path / SCALES_FILE).touch()
    path = version.path / MANIFEST_FILE
    manifest = json.loads(path.read_bytes())
    manifest["files"][SCALES_FILE] = 0
    path.chmod(0o644)
    path.write_text(json.dumps(manifest | {"bases": [weights.identity]}))
    return version


def withheld(reconciler: Reconciler) -> dict[str, str]:
    """Return the reasons why versions of the last run are not offered, by name."""
    return {
        status.name: withheld.reason
        for status in reconciler.registry.snapshot()
        for _, withheld in status.withheld
    }


def test_a_former_dora_version_of_another_base_is_not_offered(
    settings: Settings, base: Path, tmp_path: Path
) -> None:
    """Its factors belong to weights that are no longer the base's; it is remembered, and offered
    again when they are.
    """
    before, after = BaseWeights.open(base), BaseWeights.open(making.make_base(tmp_path / "other"))
    reconciler = directory_of(settings, before)
    read(reconciler)
    version = scale_outputs(reconciler, before)

    changed_base = directory_of(settings, after)
    assert "other weights" in withheld(changed_base)["finance"]
    assert version.digest in changed_base.registry.in_use()
    assert withheld(directory_of(settings, before)) == {}

    assert "in this run" in withheld(directory_of(settings, None))["finance"]

    old = json.loads((version.path / MANIFEST_FILE).read_bytes())
    del old["bases"]
    (version.path / MANIFEST_FILE).write_text(json.dumps(old))
    assert "other weights" in withheld(directory_of(settings, before))["finance"]


def test_a_former_version_over_another_base_is_not_offered(
    settings: Settings, base: Path, tmp_path: Path
) -> None:
    """One that holds a difference from the base's weights, or lacks copies of them, is wrong over
    others; it is offered again when those are back.
    """
    before, after = BaseWeights.open(base), BaseWeights.open(making.make_base(tmp_path / "other"))
    reconciler = directory_of(settings, before)
    read(reconciler)
    path = only_version(reconciler).path / MANIFEST_FILE
    manifest = json.loads(path.read_bytes())
    path.chmod(0o644)
    path.write_text(json.dumps(manifest | {"bases": [before.identity]}))

    assert "other weights" in withheld(directory_of(settings, after))["finance"]
    assert "not at hand" in withheld(directory_of(settings, None))["finance"]
    assert withheld(directory_of(settings, before)) == {}


@pytest.mark.parametrize(
    ("change", "spec", "reason"),
    [
        ({"engine": {"max_lora_rank": 8}}, {"rank": 16}, "rank 16 is over"),
        ({"approximate_error": 0.05}, {"approximate": 0.1}, "lacks 10.00%"),
        ({"approximate_error": 0.0}, {"approximate": 0.1}, "lacks 10.00%"),
    ],
)
def test_a_start_with_narrower_settings_keeps_former_versions(
    settings: Settings, change: dict[str, object], spec: dict[str, object], reason: str
) -> None:
    """They are not offered, and nothing of them is lost: the next start with the former settings
    offers them.
    """
    wide = changed(settings, approximate_error=0.2)
    reconciler = directory_of(wide)
    read(reconciler)
    version = only_version(reconciler)
    path = version.path / MANIFEST_FILE
    manifest = json.loads(path.read_bytes())
    manifest["spec"] |= spec
    path.chmod(0o644)
    path.write_text(json.dumps(manifest))

    # The folder holds another version by now, so that this one is a former one.
    shutil.rmtree(Path(settings.adapters[0]) / "finance")
    making.make_adapter(Path(settings.adapters[0]) / "finance", tensors=making.lora_tensors(seed=1))
    narrow = directory_of(changed(wide, **change))
    assert reason in withheld(narrow)["finance"]
    read(narrow)
    assert narrow.registry.flush(30)
    assert version.path.is_dir()
    assert version.digest in narrow.registry.in_use()

    again = directory_of(wide)
    assert withheld(again) == {}
    (finance,) = again.registry.snapshot()
    assert version in finance.kept


def test_a_damaged_version_is_not_offered_and_not_forgotten(settings: Settings) -> None:
    """Nor is one in a form that only a newer server knows; one whose folder is gone is."""
    reconciler = directory_of(settings)
    read(reconciler)
    version = only_version(reconciler)
    manifest = version.path / MANIFEST_FILE
    manifest.chmod(0o644)
    manifest.write_text(json.dumps(json.loads(manifest.read_bytes()) | {"layout": 99}))
    assert "newer lorabay" in withheld(directory_of(settings))["finance"]

    shutil.rmtree(version.path)
    gone = directory_of(settings)
    assert withheld(gone) == {}
    assert [status.kept for status in gone.registry.snapshot()] == [()]


@pytest.mark.parametrize("error", ERRORS)
def test_a_start_over_a_disk_with_a_hiccup_loses_nothing(settings: Settings, error: int) -> None:
    """What could not be read is read again later, and offered then."""
    reconciler = directory_of(settings)
    read(reconciler)
    version = only_version(reconciler)
    with FailingDisk(version.path).attached() as disk:
        disk.fail(error)
        later = directory_of(settings)
        assert later.registry.last_run.unread() == (("finance", version.digest),)
        disk.heal()
        asyncio.run(UnreadVersions(later.registry.last_run).read())
    assert [status.kept for status in later.registry.snapshot()] == [(version,)]


def test_adapters_that_do_not_exist_stop_the_start(settings: Settings, tmp_path: Path) -> None:
    """A mistyped folder is told at once, not served as an empty one."""
    reconciler = directory_of(changed(settings, adapters=tmp_path / "nowhere"))
    with pytest.raises(SetupError, match="nowhere"):
        read(reconciler)


def test_a_broken_adapter_does_not_stop_the_start(settings: Settings) -> None:
    """The others are served; the broken one is marked with its reasons."""
    (Path(settings.adapters[0]) / "broken").mkdir()
    (Path(settings.adapters[0]) / "broken" / "adapter_config.json").write_text("{")
    reconciler = directory_of(settings)
    read(reconciler)
    states = {status.name: str(status.state) for status in reconciler.registry.snapshot()}
    assert states == {"finance": "ready", "broken": "rejected"}


def test_each_limit_of_a_request_is_the_setting_of_its_name(settings: Settings) -> None:
    """No limit is without a setting, and every setting of that group is a limit."""
    limits = request_limits(changed(settings, max_sequences=3))
    assert limits.max_sequences == 3
    # Tokens of a prompt are counted by the engine, which has the limit from the settings itself.
    of_the_body = RequestSettings.model_fields.keys() - {"max_prompt_logprob_tokens"}
    assert {limit.name for limit in fields(limits)} == of_the_body


def test_the_limits_of_structured_outputs_are_the_settings(settings: Settings) -> None:
    """The defaults are those of the gate itself."""
    assert grammar_limits(settings) == GrammarLimits()
    chosen = changed(settings, grammar_compile_s=7, grammar_token_s=0.1, grammar_memory_mib=64)
    assert grammar_limits(chosen) == GrammarLimits(compile_s=7.0, token_s=0.1, memory_mib=64)


def test_what_is_learned_of_packed_weights_parts_no_server_from_its_records(
    base: Path, tmp_path: Path
) -> None:
    """The key is that of the shapes as they are stored."""
    shapes = BaseShapes.read(base)
    module = next(iter(shapes.shapes))
    hidden = replace(shapes, shapes={**shapes.shapes, module: None})
    known = replace(shapes, packed=frozenset({module}))
    assert records_key(tmp_path, known) == records_key(tmp_path, hidden)
    assert records_key(tmp_path, shapes) != records_key(tmp_path, hidden)


def test_a_model_of_the_last_run_stays_away_from_a_server_without_models(
    settings: Settings,
) -> None:
    """It is kept, and the reason names the setting; with models it is served again."""
    making.make_model(Path(settings.adapters[0]) / "bank")
    models = ModelChecks(frozenset({"LlamaForCausalLM"}))
    read(directory_of(settings, models=models))
    (status,) = (one for one in directory_of(settings).registry.snapshot() if one.name == "bank")
    ((_, withheld),) = status.withheld
    assert "--max-models" in withheld.reason
    registry = directory_of(settings, models=models).registry
    assert [one.name for one in registry.snapshot() if one.kept] == ["bank", "finance"]
