"""Pushing to a registry: what other programs find there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.sources.oci_reference import read_reference
from lorabay.sources.oci_registry import OciRegistry
from lorabay.sources.push_registry import ARTIFACT_TYPE, push_to_registry
from lorabay.sources.pushed import adapters_in
from tests.fixtures.registries import Registry
from tests.sources.made import CONFIG, WEIGHTS, no_bar, write


async def test_a_pushed_adapter_is_a_model_pack(
    oci_registry: Registry, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Its layers are plain files with their paths, under the types of CNCF's ModelPack."""
    repository = request.node.name.lower().replace("_", "-")
    registry = OciRegistry(read_reference(f"{oci_registry.host}/{repository}:prod"), "pull,push")
    adapter = adapters_in(write(tmp_path / "finance", "1"))[0]
    digest = await push_to_registry(registry, adapter, no_bar)
    told, content = await registry.manifest("prod")
    await registry.close()
    assert told == digest
    manifest = json.loads(content)
    assert manifest["artifactType"] == ARTIFACT_TYPE
    paths = [one["annotations"]["org.cncf.model.filepath"] for one in manifest["layers"]]
    assert paths == [WEIGHTS, CONFIG]
    assert all(one["mediaType"].endswith(".raw") for one in manifest["layers"])
