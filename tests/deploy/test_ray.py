"""What is handed to Ray Serve: the file for `serve deploy`, and the chart's RayService."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import yaml

from tests.deploy.chart import VALUES, render
from tests.docs.pages import ROOT
from tests.fixtures.kubernetes import Program

FILE = ROOT / "deploy" / "ray" / "serve.yaml"


def built(config: dict[str, Any]) -> Any:
    """The one application of a file, imported and built as Ray would, without a cluster."""
    import ray
    from ray.serve.schema import ServeDeploySchema

    checked = ServeDeploySchema.model_validate(config)
    (application,) = checked.applications
    module, _, name = application.import_path.partition(":")
    made = getattr(import_module(module), name)(application.args)
    assert not ray.is_initialized()
    return made


def test_the_file_builds(no_settings_in_environment: None) -> None:
    """Its path can be imported, and its arguments are settings."""
    from ray.serve import Application

    assert isinstance(built(yaml.safe_load(FILE.read_text())), Application)


def test_the_charts_service_builds(helm: Program, no_settings_in_environment: None) -> None:
    """So does what KubeRay is given, with the settings of the values."""
    from ray.serve import Application

    (values,) = (path for path in VALUES if path.stem == "ray")
    (service,) = (found for found in render(helm, values) if found["kind"] == "RayService")
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    assert isinstance(built(config), Application)
    assert config["applications"][0]["args"]["ray_replicas"] == 2
