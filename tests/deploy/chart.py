"""What Helm makes of the chart, and whether Kubernetes would take it.

`python -m tests.deploy.chart` writes the base of kustomize anew.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from jsonschema import Draft202012Validator

from tests.docs.pages import ROOT
from tests.fixtures.kubernetes import Program, unpack

CHART = ROOT / "deploy" / "helm" / "lorabay"
VALUES = sorted((ROOT / "deploy" / "helm" / "values").glob("*.yaml"))
EXAMPLES = sorted((ROOT / "deploy" / "helm" / "examples").glob("*.yaml"))
BASE = ROOT / "deploy" / "kustomize" / "base"

VERSIONS = tuple(f"1.{minor}" for minor in range(30, 38))
"""The versions of Kubernetes that the chart is checked against."""

IMAGE_VOLUMES_SINCE = "1.31"

SCHEMAS: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parent / "custom_resources.yaml").read_text(encoding="utf-8")
)

Object = dict[str, Any]


@cache
def render(helm: Program, values: Path) -> list[Object]:
    """Return the objects of the chart with a file of values; they are made once."""
    text = helm.output(*template(values))
    return [found for found in yaml.safe_load_all(text) if found]


def template(*values: Path | str, version: str = VERSIONS[-1]) -> list[str | Path]:
    """Return the arguments of Helm that write the objects of the chart.

    `values` are files, or assignments such as `replicas=2`.
    """
    options: list[str | Path] = []
    for value in values:
        options += ["--values" if isinstance(value, Path) else "--set", value]
    return ["template", "lorabay", CHART, "--kube-version", f"{version}.0", *options]


def problems(found: Object, version: str) -> list[str]:
    """Return what Kubernetes of that version would not take about an object."""
    kind = found["kind"]
    if kind in SCHEMAS:
        errors = Draft202012Validator(SCHEMAS[kind]).iter_errors(found)
        return [f"{kind}: {error.json_path}: {error.message}" for error in errors]
    try:
        kubernetes_validate.validate(found, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{kind}: {error.message}"]
    return []


def one(objects: list[Object], kind: str) -> Object:
    """Return the only object of a kind."""
    (found,) = [found for found in objects if found["kind"] == kind]
    return found


def pod_of(objects: list[Object]) -> Object:
    """Return the specification of the pods that serve."""
    pod: Object = one(objects, "StatefulSet")["spec"]["template"]["spec"]
    return pod


def container_of(objects: list[Object]) -> Object:
    """Return the container that serves."""
    (container,) = pod_of(objects)["containers"]
    found: Object = container
    return found


def plain_objects(helm: Program) -> str:
    """Return the base of kustomize: what the chart makes of its few values."""
    values = BASE / "values.yaml"
    return helm.output(*template(values, version=VERSIONS[0]))


def write() -> None:
    """Write the base of kustomize anew."""
    with tempfile.TemporaryDirectory() as folder:
        helm = Program(unpack("helm", Path(folder)), Path(folder))
        (BASE / "lorabay.yaml").write_text(plain_objects(helm), encoding="utf-8")


if __name__ == "__main__":
    write()
