"""What Ray Serve tells of an application, made without a cluster."""

from __future__ import annotations

from ray.serve.schema import ApplicationDetails

from lorabay.cluster.ray_serve.application import DEPLOYMENT


def told(status: str, *nodes: str | None, message: str = "") -> ApplicationDetails:
    """Return the details of an application whose replicas start on these nodes, None for none."""
    replicas = [
        {"replica_id": str(number), "state": "STARTING", "start_time_s": 0, "node_id": node}
        for number, node in enumerate(nodes)
    ]
    deployment = {
        "name": DEPLOYMENT,
        "status": "UPDATING",
        "status_trigger": "UNSPECIFIED",
        "message": message,
        "deployment_config": {"name": DEPLOYMENT},
        "target_num_replicas": len(nodes),
        "required_resources": {},
        "replicas": replicas,
    }
    return ApplicationDetails.model_validate(
        {
            "name": "lorabay-engines",
            "route_prefix": None,
            "docs_path": None,
            "status": status,
            "message": "",
            "last_deployed_time_s": 0,
            "source": "imperative",
            "deployments": {DEPLOYMENT: deployment},
            "external_scaler_enabled": False,
        }
    )
