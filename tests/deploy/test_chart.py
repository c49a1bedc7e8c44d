"""The chart: Kubernetes takes what it makes, the program knows its settings, and no answer is cut
off when a pod ends.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from lorabay.settings import ENV_PREFIX, Settings, load_settings
from tests.deploy.chart import (
    CHART,
    EXAMPLES,
    IMAGE_VOLUMES_SINCE,
    SCHEMAS,
    VALUES,
    VERSIONS,
    Object,
    container_of,
    one,
    pod_of,
    problems,
    render,
    template,
)
from tests.deploy.test_locks import PROJECT
from tests.docs.blocks import series
from tests.fixtures.kubernetes import Program

BY_NAME = {path.stem: path for path in VALUES}
SERVING = [path for path in VALUES if path.stem != "ray"]
"""Value files that start servers; Ray starts its own."""

names = [path.stem for path in VALUES]


def number(version: str) -> int:
    """Return the minor version."""
    return int(version.partition(".")[2])


def test_there_are_six_value_files() -> None:
    """One host, several, Ray, the inference extension, OpenShift and a closed network."""
    assert sorted(BY_NAME) == [
        "closed-network",
        "inference-extension",
        "one-host",
        "openshift",
        "ray",
        "several",
    ]


@pytest.mark.parametrize("values", VALUES, ids=names)
def test_the_linter_has_nothing_to_say(helm: Program, values: Path) -> None:
    """Helm's own linter passes at its strictest, and has no warning."""
    said = helm.output("lint", "--strict", CHART, "--values", values)
    assert "0 chart(s) failed" in said
    assert "[WARNING]" not in said


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_what_the_chart_makes(helm: Program, version: str) -> None:
    """Each version of Kubernetes knows every field of every object, and no other is written."""
    too_old = number(version) < number(IMAGE_VOLUMES_SINCE)
    written: dict[str, Object] = {}
    for values in VALUES:
        if not (values.stem == "closed-network" and too_old):
            written |= {yaml.safe_dump(found): found for found in render(helm, values)}

    assert len(written) >= 24
    for found in written.values():
        assert problems(found, version) == []


def test_volumes_of_images_need_a_newer_kubernetes(helm: Program) -> None:
    """An older one is told by the chart, with the way out, and not by a pod that hangs."""
    run = helm.run(*template(BY_NAME["closed-network"], version="1.30"))
    assert run.returncode != 0
    assert "from 1.31 on; this is v1.30.0. Use a claim." in run.stderr


@pytest.mark.parametrize("example", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_examples_fit_their_schemas(example: Path) -> None:
    """What stands beside the chart to be copied is taken, too."""
    for found in yaml.safe_load_all(example.read_text()):
        if "kind" in found:
            assert found["kind"] in SCHEMAS
            assert problems(found, VERSIONS[-1]) == []
    assert example.stem == "prometheus-adapter" or "kind:" in example.read_text()


def test_the_chart_is_of_this_version() -> None:
    """Its image is the one that is built of this checkout."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == PROJECT["version"]


@pytest.mark.parametrize("values", SERVING, ids=[path.stem for path in SERVING])
def test_the_program_takes_every_variable_and_every_setting(helm: Program, values: Path) -> None:
    """What the chart writes into the environment and the file of settings starts a server."""
    objects = render(helm, values)
    variables = {one["name"] for one in container_of(objects)["env"]}
    ours = {name for name in variables if name.startswith(ENV_PREFIX)}
    assert len(ours) >= 4
    assert {name.removeprefix(ENV_PREFIX).lower() for name in ours} <= set(Settings.model_fields)

    (file,) = [
        found
        for found in objects
        if found["kind"] == "ConfigMap" and "lorabay.yaml" in found["data"]
    ]
    settings = file["data"]["lorabay.yaml"]
    assert load_settings(yaml.safe_load(settings), environ={}).log_format == "json"


@pytest.mark.parametrize("values", SERVING, ids=[path.stem for path in SERVING])
def test_no_answer_is_cut_off(helm: Program, values: Path) -> None:
    """Balancers turn away first, then running requests finish, then the engine ends; only then
    would the pod be killed.
    """
    objects = render(helm, values)
    container = container_of(objects)
    sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    variables = {one["name"]: one.get("value") for one in container["env"]}
    grace = float(variables["LORABAY_GRACE_S"])
    assert sleep >= 5
    assert pod_of(objects)["terminationGracePeriodSeconds"] >= sleep + grace + 15


@pytest.mark.parametrize("values", SERVING, ids=[path.stem for path in SERVING])
def test_a_start_may_take_its_time(helm: Program, values: Path) -> None:
    """A base is downloaded and compiled before the pod is ready; then it is out as soon as its
    engine is rebuilt, and killed only when the process is of no use.
    """
    container = container_of(render(helm, values))
    startup, ready = container["startupProbe"], container["readinessProbe"]
    assert startup["httpGet"]["path"] == ready["httpGet"]["path"] == "/ready"
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 600
    assert ready["failureThreshold"] == 1
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"


@pytest.mark.parametrize("values", SERVING, ids=[path.stem for path in SERVING])
def test_a_pod_has_few_rights(helm: Program, values: Path) -> None:
    """No root, nothing written but on volumes, no token, shared memory for vLLM's processes, and
    no variables of neighbours.
    """
    objects = render(helm, values)
    pod, container = pod_of(objects), container_of(objects)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False

    written = {
        mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")
    }
    assert written == {"/cache", "/tmp", "/dev/shm"}  # noqa: S108 # paths in the pod
    (shared,) = [volume for volume in pod["volumes"] if volume["name"] == "shm"]
    assert shared["emptyDir"]["medium"] == "Memory"


def test_openshift_chooses_the_user(helm: Program) -> None:
    """A fixed user is refused there; elsewhere the image's own is named."""
    assert "runAsUser" not in pod_of(render(helm, BY_NAME["openshift"]))["securityContext"]
    assert pod_of(render(helm, BY_NAME["one-host"]))["securityContext"]["runAsUser"] == 10001


def test_each_pod_has_a_store_of_its_own(helm: Program) -> None:
    """Several pods never share a claim that only one of them can mount."""
    claims = one(render(helm, BY_NAME["several"]), "StatefulSet")["spec"]["volumeClaimTemplates"]
    assert [claim["spec"]["accessModes"] for claim in claims] == [["ReadWriteOnce"]]


def test_secrets_are_not_written_down(helm: Program) -> None:
    """Keys are files of a Secret, and URLs with passwords come from one."""
    environment = container_of(render(helm, BY_NAME["several"]))["env"]
    by_name = {one["name"]: one for one in environment}
    for name in ("LORABAY_DATABASE", "LORABAY_REDIS", "HF_TOKEN"):
        assert "secretKeyRef" in by_name[name]["valueFrom"]
    assert by_name["LORABAY_API_KEY_FILE"]["value"].startswith("/etc/lorabay/keys/")
    assert not {"LORABAY_API_KEY", "LORABAY_ADMIN_KEY"} & by_name.keys()


@pytest.mark.parametrize("values", VALUES, ids=names)
def test_no_image_moves(helm: Program, values: Path) -> None:
    """Every image has a tag, and none is `latest`."""
    text = yaml.safe_dump(render(helm, values))
    images = re.findall(r"^\s*-? ?(?:image|reference): (\S+)$", text, re.MULTILINE)
    assert images
    for image in images:
        assert re.search(r":\d[\w.-]*$", image), image


def scaled_by(objects: list[Object]) -> set[str]:
    """Return the series that decide how many pods there are."""
    text = yaml.safe_dump([found for found in objects if "Scale" in found["kind"]], width=1000)
    text += yaml.safe_dump([found for found in objects if "Autoscaler" in found["kind"]])
    return set(re.findall(r"lorabay_[a-z_]+", text))


def test_the_adapter_of_metrics_asks_for_series_that_exist() -> None:
    """It makes one of them that is not there by itself."""
    known = {name for name, *_ in series()}
    known |= {f"{name}_sum" for name, kind, *_ in series() if kind == "histogram"}
    adapter = (CHART.parent / "examples" / "prometheus-adapter.yaml").read_text()
    made = set(re.findall(r"as: (\w+)", adapter))
    assert made == {"lorabay_slot_waiting"}
    assert set(re.findall(r"lorabay_[a-z_]+", adapter)) - made <= known


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ("several", {"lorabay_queue_waiting", "lorabay_slot_wait_seconds_sum"}),
        ("inference-extension", {"lorabay_queue_waiting", "lorabay_slot_waiting"}),
    ],
)
def test_scaling_follows_queue_and_slots(helm: Program, values: str, asked: set[str]) -> None:
    """Neither CPU nor memory says whether requests wait, and the set has no fixed number then."""
    objects = render(helm, BY_NAME[values])
    assert scaled_by(objects) == asked
    assert "replicas" not in one(objects, "StatefulSet")["spec"]


def test_a_node_can_be_drained(helm: Program) -> None:
    """One pod may go at a time, and one that never came up keeps nobody."""
    budget = one(render(helm, BY_NAME["several"]), "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_a_server_reaches_what_it_needs_alone(helm: Program) -> None:
    """Where rules are given, names are still looked up; without any, nothing is closed."""
    several = one(render(helm, BY_NAME["several"]), "NetworkPolicy")["spec"]
    ports = [port["port"] for rule in several["egress"] for port in rule["ports"]]
    assert ports == [53, 53, 5432, 6379, 443]
    assert one(render(helm, BY_NAME["one-host"]), "NetworkPolicy")["spec"]["policyTypes"] == [
        "Ingress"
    ]


def made(helm: Program, *values: Path | str) -> list[Object]:
    """Return the objects of these values."""
    return [found for found in yaml.safe_load_all(helm.output(*template(*values))) if found]


def test_nobody_may_call_where_nobody_is_named(helm: Program) -> None:
    """An empty list of peers would be everybody."""
    text = helm.output(
        *template(),
        *("--set-json", "networkPolicy.clients=[]", "--set-json", "networkPolicy.scrapers=[]"),
    )
    policy = one(list(filter(None, yaml.safe_load_all(text))), "NetworkPolicy")["spec"]
    assert policy["ingress"] == []


def test_rays_own_ports_are_for_its_cluster_and_its_operator(helm: Program) -> None:
    """Its dashboard runs whatever anybody hands to it."""
    rules = one(render(helm, BY_NAME["ray"]), "NetworkPolicy")["spec"]["ingress"]
    callers, own, operator = rules
    assert [port["port"] for port in callers["ports"]] == [8000]
    (cluster,) = own["from"]
    labels = one(render(helm, BY_NAME["ray"]), "RayService")["metadata"]["labels"]
    assert cluster["podSelector"]["matchLabels"].items() <= labels.items()
    assert "namespaceSelector" not in cluster
    assert {port["port"] for port in operator["ports"]} == {8000, 8265}
    assert "kuberay-operator" in str(operator["from"])


def test_ray_is_scraped_and_called_by_its_proxy(helm: Program) -> None:
    """Its pods have no port of the server, and its Service another name."""
    objects = made(
        helm, BY_NAME["ray"], "podMonitor.enabled=true,ingress.enabled=true,ingress.host=a.example"
    )
    cluster = one(objects, "RayService")["spec"]["rayClusterConfig"]
    (head,) = cluster["headGroupSpec"]["template"]["spec"]["containers"]
    ports = {port["name"] for port in head["ports"]}
    (scraped,) = one(objects, "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert scraped["port"] in ports
    (rule,) = one(objects, "Ingress")["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert path["backend"]["service"]["name"] == "lorabay-serve-svc"


def test_ray_adds_pods_up_to_the_most(helm: Program) -> None:
    """Its autoscaler asks Kubernetes for them, and so has a token."""
    cluster = one(render(helm, BY_NAME["ray"]), "RayService")["spec"]["rayClusterConfig"]
    assert cluster["enableInTreeAutoscaling"]
    assert cluster["headGroupSpec"]["template"]["spec"]["automountServiceAccountToken"]
    (workers,) = cluster["workerGroupSpecs"]
    assert not workers["template"]["spec"]["automountServiceAccountToken"]


def test_a_release_is_scaled_by_its_own_pods(helm: Program) -> None:
    """Another one's name may begin with this one's."""
    scaled = one(made(helm, "autoscaling.kind=keda"), "ScaledObject")["spec"]
    for trigger in scaled["triggers"]:
        (pods,) = re.findall(r'pod=~"([^"]+)"', trigger["metadata"]["query"])
        assert re.fullmatch(pods, "lorabay-0")
        assert not re.fullmatch(pods, "lorabay-staging-0")


def test_names_that_are_numbers_stay_names(helm: Program) -> None:
    """A Secret may be called 123."""
    text = helm.output(*template(), "--set-string", "keys.secret=123")
    assert 'secretName: "123"' in text


def test_alerts_and_dashboards_come_along(helm: Program) -> None:
    """They are those of the files beside the chart, as they are there."""
    objects = render(helm, BY_NAME["several"])
    rules = yaml.safe_load((CHART.parents[1] / "prometheus" / "alerts.yaml").read_text())
    assert one(objects, "PrometheusRule")["spec"] == rules

    shown = [
        found["data"] for found in objects if found["metadata"]["name"] == "lorabay-dashboards"
    ]
    files = (CHART.parents[1] / "grafana" / "dashboards").iterdir()
    assert shown == [{f"lorabay-{file.name}": file.read_text() for file in files}]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("replicas=two", "/replicas"),
        ("replicas=-1", "/replicas"),
        ("device=tpu", "/device"),
        ("image.tag=latest", "/image/tag"),
        ("settings.poll_s=often", "/settings/poll_s"),
        ("settings.pol_s=5", "'pol_s' not allowed"),
        ("settings.api_key=secret", "'api_key' not allowed"),
        ("settings.max_running=0", "/settings/max_running"),
        ("autoscale=true", "'autoscale' not allowed"),
        ("autoscaling.kind=cpu", "/autoscaling/kind"),
        ("env.LORABAY_POLL_S=often", "Write poll_s into settings"),
        ("adapters.source=s3://a/b", "exactly one of claim, image and source; there are 2"),
        ("adapters.claim=", "exactly one of claim, image and source; there are 0"),
        ("ingress.enabled=true", "ingress.host: name the host"),
        ("ray.enabled=true,ray.importPath=", "ray.importPath: name the application"),
        ("ray.enabled=true", "ray.claim: name the claim"),
        ("ray.enabled=true,ray.claim=a,ray.workers.min=9", "min is 9 and max is 4"),
        (
            "ray.enabled=true,ray.claim=a,podMonitor.enabled=true,ray.arguments.ray_fronts=2",
            "each scrape reads one of several fronts",
        ),
        ("autoscaling=null", "missing property 'autoscaling'"),
        ("networkPolicy.operator=null", "missing property 'operator'"),
    ],
)
def test_a_wrong_value_is_an_error(helm: Program, value: str, said: str) -> None:
    """Helm says which value it is before anything reaches the cluster."""
    run = helm.run(*template(value))
    assert run.returncode != 0
    assert said in run.stderr


def test_min_above_max_is_an_error(helm: Program) -> None:
    """Numbers that are fine alone may not fit together."""
    run = helm.run(*template("autoscaling.kind=keda", "autoscaling.min=9"))
    assert "min is 9 and max is 4" in run.stderr
