"""The base for those who use kustomize: the chart's objects, and an overlay that changes them."""

from __future__ import annotations

import yaml

from tests.deploy.chart import (
    BASE,
    VERSIONS,
    Object,
    container_of,
    one,
    plain_objects,
    pod_of,
    problems,
)
from tests.fixtures.kubernetes import Program


def built(kubectl: Program, name: str) -> list[Object]:
    """Return the objects that kustomize makes of one of the folders."""
    text = kubectl.output("kustomize", BASE.parent / name)
    return list(yaml.safe_load_all(text))


def test_the_base_is_fresh(helm: Program) -> None:
    """`python -m tests.deploy.chart` has run since the chart was changed."""
    assert (BASE / "lorabay.yaml").read_text(encoding="utf-8") == plain_objects(helm)


def test_kubernetes_takes_base_and_overlay(kubectl: Program) -> None:
    """The oldest and the newest version know every field."""
    for folder in ("base", "gpu"):
        objects = built(kubectl, folder)
        assert len(objects) == 7
        for version in (VERSIONS[0], VERSIONS[-1]):
            assert [problem for one in objects for problem in problems(one, version)] == []


def test_the_overlay_changes_the_base(kubectl: Program) -> None:
    """Three pods of the GPU image, each with a GPU; nothing says that Helm manages it."""
    objects = built(kubectl, "gpu")
    container = container_of(objects)
    assert one(objects, "StatefulSet")["spec"]["replicas"] == 3
    assert container["image"].endswith("-gpu")
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert pod_of(objects)["securityContext"]["runAsNonRoot"] is True
    assert "managed-by: Helm" not in yaml.safe_dump_all(objects)
