"""The manifests in k8s/monitoring say what the code does: ports, paths, labels, config."""

from __future__ import annotations

import csv
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

import gpusteward
from gpusteward.config import Config
from gpusteward.model import AttributionError

ROOT = Path(__file__).resolve().parents[3]
MONITORING = ROOT / "k8s" / "monitoring"
HOLDER_LABELS = ("pod", "container", "namespace", "service", "endpoint")

Manifest = dict[str, Any]  # YAML of many kinds; each test knows the shape of its own


def manifests(name: str = "*.yaml") -> list[tuple[str, Manifest]]:
    return [
        (path.name, document)
        for path in sorted(MONITORING.glob(name))
        for document in yaml.safe_load_all(path.read_text())
    ]


def only(kind: str, name: str) -> Manifest:
    found = [document for _, document in manifests(name) if document["kind"] == kind]
    assert len(found) == 1, f"{len(found)} {kind} in {name}"
    return found[0]


def pod_spec() -> Manifest:
    spec: Manifest = only("DaemonSet", "agent.yaml")["spec"]["template"]["spec"]
    return spec


def agent_container() -> Manifest:
    (container,) = pod_spec()["containers"]
    assert isinstance(container, dict)
    return container


@pytest.mark.parametrize(("file", "document"), manifests())
def test_every_manifest_has_kind_version_and_a_namespace_that_is_made_here(
    file: str, document: Manifest
) -> None:
    assert document["apiVersion"], file
    assert document["kind"], file
    if document["kind"] not in {"Namespace", "Kustomization"}:
        made = {other["metadata"]["name"] for _, other in manifests() if other["kind"] == "Namespace"}
        assert document["metadata"]["namespace"] in made


def test_what_kustomize_applies_needs_no_operator_and_lists_each_file_that_exists() -> None:
    listed = only("Kustomization", "kustomization.yaml")["resources"]

    kinds = {document["kind"] for file in listed for _, document in manifests(file)}
    assert all((MONITORING / file).is_file() for file in listed)
    assert kinds == {"Namespace", "ConfigMap", "ServiceAccount", "DaemonSet", "Service"}


@pytest.mark.parametrize("file", ["agent.yaml", "dcgm-exporter.yaml"])
def test_a_daemonset_selects_the_pods_that_it_makes_and_its_service_finds_them(file: str) -> None:
    daemonset = only("DaemonSet", file)
    labels = daemonset["spec"]["template"]["metadata"]["labels"]
    service = only("Service", "service.yaml" if file == "agent.yaml" else file)

    assert daemonset["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert service["spec"]["selector"].items() <= labels.items()
    assert service["metadata"]["namespace"] == daemonset["metadata"]["namespace"]


@pytest.mark.parametrize(
    ("kind", "file"), [("ServiceMonitor", "servicemonitor.yaml"), ("PodMonitor", "podmonitor.yaml")]
)
def test_a_monitor_selects_the_agent_and_nothing_of_dcgm(kind: str, file: str) -> None:
    selector = only(kind, file)["spec"]["selector"]["matchLabels"].items()
    target = (
        only("Service", "service.yaml")
        if kind == "ServiceMonitor"
        else only("DaemonSet", "agent.yaml")["spec"]["template"]
    )
    other = only("Service", "dcgm-exporter.yaml")

    assert selector <= target["metadata"]["labels"].items()
    assert not selector <= other["metadata"]["labels"].items()


@pytest.mark.parametrize(
    ("kind", "file", "endpoints"),
    [
        ("ServiceMonitor", "servicemonitor.yaml", "endpoints"),
        ("PodMonitor", "podmonitor.yaml", "podMetricsEndpoints"),
    ],
)
def test_a_monitor_keeps_our_holder_labels_and_drops_the_targets(
    kind: str, file: str, endpoints: str
) -> None:
    (endpoint,) = only(kind, file)["spec"][endpoints]
    (drop,) = [rule for rule in endpoint["relabelings"] if rule["action"] == "labeldrop"]

    assert endpoint["honorLabels"] is True
    assert all(re.fullmatch(drop["regex"], label) for label in HOLDER_LABELS)
    assert not any(re.fullmatch(drop["regex"], label) for label in ("instance", "job", "node", "pod_ip"))
    assert "metricRelabelings" not in endpoint  # they would act on our own labels, after the scrape


def test_every_way_in_leads_to_the_port_that_the_agent_listens_on() -> None:
    default = int(Config().agent.listen.rpartition(":")[2])
    container = agent_container()
    (port,) = container["ports"]
    (service_port,) = only("Service", "service.yaml")["spec"]["ports"]
    (policy_port,) = only("NetworkPolicy", "networkpolicy.yaml")["spec"]["ingress"][0]["ports"]

    assert port["containerPort"] == service_port["port"] == policy_port["port"] == default
    assert service_port["targetPort"] == port["name"]
    for probe, path in (
        ("startupProbe", "/livez"),
        ("livenessProbe", "/livez"),
        ("readinessProbe", "/readyz"),
    ):
        assert container[probe]["httpGet"] == {"path": path, "port": port["name"]}


def test_the_config_in_the_configmap_loads_and_is_mounted_where_the_agent_reads_it() -> None:
    configmap = only("ConfigMap", "config.yaml")
    ((file, text),) = configmap["data"].items()
    config = Config.model_validate(yaml.safe_load(text))
    container = agent_container()
    variables = {variable["name"]: variable for variable in container["env"]}
    (mount,) = container["volumeMounts"]
    (volume,) = pod_spec()["volumes"]

    assert config.agent.source == "dcgm"
    assert variables["GPUSTEWARD_CONFIG"]["value"] == f"{mount['mountPath']}/{file}"
    assert "subPath" not in mount
    assert volume == {"name": mount["name"], "configMap": {"name": configmap["metadata"]["name"]}}
    assert variables["NODE_NAME"]["valueFrom"]["fieldRef"]["fieldPath"] == "spec.nodeName"


def test_the_prices_that_the_configmap_offers_in_comments_load_too() -> None:
    text = only("ConfigMap", "config.yaml")["data"]["gpusteward.yaml"]
    lines = [line.removeprefix("#").removeprefix(" ") for line in text.splitlines() if line.startswith("#")]
    offered = "\n".join(line for line in lines if re.match(r"(node|pricing):$|  ", line))

    config = Config.model_validate(yaml.safe_load(offered))

    assert config.node.instance_type == "p5.48xlarge"
    assert [entry.node for entry in config.pricing.book] == ["gpu-h100-*", "gpu-l4-*"]


def test_the_agent_asks_for_no_privilege_and_fits_the_strictest_profile_of_its_namespace() -> None:
    pod, container = pod_spec(), agent_container()

    assert (
        only("Namespace", "namespace.yaml")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        == "restricted"
    )
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert only("ServiceAccount", "agent.yaml")["automountServiceAccountToken"] is False
    assert not {"hostPID", "hostNetwork", "hostIPC"} & pod.keys()
    assert not any("hostPath" in volume for volume in pod["volumes"])
    assert {"memory", "cpu"} <= container["resources"]["requests"].keys()
    assert "memory" in container["resources"]["limits"]


def test_the_agent_that_asks_the_kubelet_is_root_for_its_socket_and_gains_nothing_else() -> None:
    overlay = yaml.safe_load((ROOT / "k8s" / "monitoring-kubelet" / "kustomization.yaml").read_text())
    namespace, daemonset = (yaml.safe_load(patch["patch"]) for patch in overlay["patches"])
    pod = daemonset["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (mount,) = container["volumeMounts"]
    (volume,) = pod["volumes"]

    assert overlay["resources"] == ["../monitoring"]
    assert [patch["target"]["name"] for patch in overlay["patches"]] == ["gpusteward", "gpusteward-agent"]
    assert namespace["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "privileged"}
    assert daemonset["metadata"]["name"] == only("DaemonSet", "agent.yaml")["metadata"]["name"]
    assert pod.keys() == {"securityContext", "containers", "volumes"}
    assert pod["securityContext"] == {"runAsNonRoot": False, "runAsUser": 0, "runAsGroup": 0}
    assert container.keys() == {"name", "volumeMounts"}
    assert container["name"] == agent_container()["name"]
    assert mount == {"name": volume["name"], "mountPath": volume["hostPath"]["path"], "readOnly": True}
    assert Path(Config().kubelet.socket).parent == Path(mount["mountPath"])
    assert volume["hostPath"]["type"] == "Directory"


def test_every_reason_why_a_holder_is_unknown_has_its_row_with_a_next_step() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.+\|.+\|$", (ROOT / "docs/kubelet.md").read_text(), flags=re.MULTILINE)

    assert rows == [reason.value for reason in AttributionError]


@pytest.mark.parametrize("file", ["agent.yaml", "dcgm-exporter.yaml"])
def test_images_are_pinned_by_tag(file: str) -> None:
    (container,) = only("DaemonSet", file)["spec"]["template"]["spec"]["containers"]

    assert re.fullmatch(r".+:\d[\w.-]+", container["image"])


def test_our_image_has_the_version_of_the_package_everywhere() -> None:
    (image,) = only("Kustomization", "kustomization.yaml")["images"]

    assert (
        agent_container()["image"]
        == f"{image['newName']}:{image['newTag']}"
        == f"{image['name']}:{image['newTag']}"
        == f"gpusteward:{gpusteward.__version__}"
    )


def test_the_agent_reads_the_page_of_its_own_node_and_may_reach_it() -> None:
    service = only("Service", "dcgm-exporter.yaml")
    (port,) = service["spec"]["ports"]
    where = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc:{port['port']}"
    config = Config.model_validate(
        yaml.safe_load(only("ConfigMap", "config.yaml")["data"]["gpusteward.yaml"])
    )
    egress = only("NetworkPolicy", "networkpolicy.yaml")["spec"]["egress"]

    assert config.sources.dcgm.url == f"http://{where}/metrics"
    assert service["spec"]["internalTrafficPolicy"] == "Local"
    assert service["spec"].get("clusterIP") != "None"  # the policy means nothing for a headless Service
    assert any(
        rule["ports"] == [{"port": port["port"], "protocol": "TCP"}]
        and rule["to"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        == service["metadata"]["namespace"]
        for rule in egress
    )


def counters() -> list[list[str]]:
    text = only("ConfigMap", "dcgm-exporter.yaml")["data"]["counters.csv"]
    return [
        [cell.strip() for cell in line.split(",", 2)]
        for line in text.splitlines()
        if line and not line.startswith("#")
    ]


def test_the_counters_are_rows_of_field_type_and_help_without_doubles() -> None:
    fields = [field for field, _, _ in counters()]

    assert len(fields) == len(set(fields))
    assert all(re.fullmatch(r"DCGM_FI_[A-Z0-9_]+", field) for field in fields)
    assert {kind for _, kind, _ in counters()} == {"gauge", "counter", "label"}
    assert "DCGM_FI_PROF_SM_ACTIVE" in fields
    assert all("," not in text for _, _, text in counters())


def test_each_counter_is_one_that_the_agent_reads() -> None:
    table = resources.files("gpusteward.devices").joinpath("dcgm_vocabulary.csv").read_text()
    rows = csv.DictReader(line for line in table.splitlines() if not line.startswith("#"))
    read = {row["field"] for row in rows if row["signal"]}

    assert {field for field, kind, _ in counters() if kind != "label"} <= read


def test_dcgm_exporter_samples_as_often_as_the_agent_reads() -> None:
    (container,) = only("DaemonSet", "dcgm-exporter.yaml")["spec"]["template"]["spec"]["containers"]
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}

    assert int(variables["DCGM_EXPORTER_INTERVAL"]) == Config().agent.interval_seconds * 1000
    assert variables["DCGM_EXPORTER_KUBERNETES"] == "true"
    assert (
        variables["DCGM_EXPORTER_COLLECTORS"] == container["volumeMounts"][0]["mountPath"] + "/counters.csv"
    )
