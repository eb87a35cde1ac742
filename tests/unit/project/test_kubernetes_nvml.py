"""k8s/monitoring with its NVML components: rights, devices and config, as a user would apply them."""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING

import pytest
import yaml

from gpusteward.config import Config, environment_service_account
from gpusteward.config.environment import SERVICE_ACCOUNT
from tests.unit.project.kustomize import MONITORING, by_hand, by_kubectl, checkout

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.project.kustomize import Compose, Manifest

COMPOSERS = [by_hand, by_kubectl] if shutil.which("kubectl") else [by_hand]
EXTRAS = ("nvml/mig", "nvml/processes", "nvml/gke")
CHOICES = [("nvml", *extras) for count in range(4) for extras in itertools.combinations(EXTRAS, count)]
RIGHTS = {"ClusterRole", "ClusterRoleBinding"}
TIGHT = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@pytest.fixture(params=COMPOSERS, ids=lambda compose: compose.__name__)
def compose(request: pytest.FixtureRequest) -> Compose:
    chosen: Compose = request.param
    return chosen


class Applied:
    """What is applied to the cluster."""

    def __init__(self, manifests: list[Manifest]) -> None:
        self.manifests = manifests

    def only(self, kind: str) -> Manifest:
        (found,) = (manifest for manifest in self.manifests if manifest["kind"] == kind)
        return found

    @property
    def pod(self) -> Manifest:
        spec: Manifest = self.only("DaemonSet")["spec"]["template"]["spec"]
        return spec

    @property
    def container(self) -> Manifest:
        (container,) = self.pod["containers"]
        assert isinstance(container, dict)
        return container

    @property
    def variables(self) -> dict[str, str]:
        return {one["name"]: one["value"] for one in self.container["env"] if "value" in one}

    @property
    def security_profile(self) -> str:
        labels: dict[str, str] = self.only("Namespace")["metadata"]["labels"]
        return labels["pod-security.kubernetes.io/enforce"]


def applied(tmp_path: Path, compose: Compose, *components: str) -> Applied:
    return Applied(compose(checkout(tmp_path, components)))


def test_without_the_component_there_is_no_token_no_right_and_no_runtime(
    tmp_path: Path, compose: Compose
) -> None:
    plain = applied(tmp_path, compose)

    assert not any("Role" in manifest["kind"] for manifest in plain.manifests)
    assert "runtimeClassName" not in plain.pod
    assert plain.pod["automountServiceAccountToken"] is False
    assert not any("projected" in volume for volume in plain.pod["volumes"])
    assert not any(name.startswith("NVIDIA_") for name in plain.variables)


@pytest.mark.parametrize("components", CHOICES, ids=" ".join)
def test_any_choice_of_components_composes_and_by_hand_as_by_kubectl(
    tmp_path: Path, components: tuple[str, ...]
) -> None:
    composed = [applied(tmp_path / compose.__name__, compose, *components).manifests for compose in COMPOSERS]

    for manifests in composed:
        kinds = {manifest["kind"] for manifest in manifests}
        assert kinds == {"Namespace", "ConfigMap", "ServiceAccount", "DaemonSet", "Service"} | RIGHTS
        assert len(manifests) == len(kinds)
    assert all(in_one_order(manifests) == in_one_order(composed[0]) for manifests in composed)


def in_one_order(manifests: list[Manifest]) -> list[str]:
    """Manifests and the named things in them, sorted: their order means nothing."""

    def ordered(value: object) -> object:
        if isinstance(value, dict):
            return {key: ordered(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return sorted((ordered(inner) for inner in value), key=yaml.safe_dump)
        return value

    return sorted(yaml.safe_dump(ordered(manifest)) for manifest in manifests)


def test_the_agent_may_get_nodes_and_nothing_else(tmp_path: Path, compose: Compose) -> None:
    nvml = applied(tmp_path, compose, "nvml", *EXTRAS)
    role, binding, account = (
        nvml.only(kind) for kind in ("ClusterRole", "ClusterRoleBinding", "ServiceAccount")
    )

    assert role["rules"] == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]
    assert binding["roleRef"] == {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": role["metadata"]["name"],
    }
    assert binding["subjects"] == [
        {
            "kind": "ServiceAccount",
            "name": account["metadata"]["name"],
            "namespace": account["metadata"]["namespace"],
        }
    ]
    assert nvml.pod["serviceAccountName"] == account["metadata"]["name"]


def test_the_token_is_projected_to_where_the_agent_looks_and_expires(
    tmp_path: Path, compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SERVICE_ACCOUNT.name, raising=False)
    nvml = applied(tmp_path, compose, "nvml")
    (volume,) = [volume for volume in nvml.pod["volumes"] if "projected" in volume]
    (mount,) = [mount for mount in nvml.container["volumeMounts"] if mount["name"] == volume["name"]]
    token, ca = volume["projected"]["sources"]

    assert nvml.pod["automountServiceAccountToken"] is False, "a second token would be mounted"
    assert mount["mountPath"] == str(environment_service_account())
    assert mount["readOnly"] is True
    assert token == {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}
    assert [item["path"] for item in ca["configMap"]["items"]] == ["ca.crt"]
    assert any(one["name"] == "NODE_NAME" for one in nvml.container["env"])


def test_the_runtime_gives_all_gpus_and_the_management_library_and_the_scheduler_none(
    tmp_path: Path, compose: Compose
) -> None:
    nvml = applied(tmp_path, compose, "nvml")

    assert nvml.pod["runtimeClassName"] == "nvidia"
    assert nvml.variables["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert nvml.variables["NVIDIA_DRIVER_CAPABILITIES"] == "utility"
    resources = nvml.container["resources"]
    assert not any("nvidia.com" in name for kind in resources.values() for name in kind)
    assert resources["limits"] == {"memory": "128Mi"}


@pytest.mark.parametrize("components", CHOICES, ids=" ".join)
def test_the_config_asks_nvml_and_selectors_still_match(
    tmp_path: Path, components: tuple[str, ...], compose: Compose
) -> None:
    nvml = applied(tmp_path, compose, *components)
    ((file, text),) = nvml.only("ConfigMap")["data"].items()
    daemonset = nvml.only("DaemonSet")["spec"]

    assert Config.model_validate(yaml.safe_load(text)).agent.source == "nvml"
    assert nvml.variables["GPUSTEWARD_CONFIG"].endswith(f"/{file}")
    assert daemonset["selector"]["matchLabels"] == daemonset["template"]["metadata"]["labels"]
    assert nvml.only("Service")["spec"]["selector"] == daemonset["selector"]["matchLabels"]


def test_what_the_config_offers_in_comments_loads_too() -> None:
    text = yaml.safe_load((MONITORING / "nvml/config.yaml").read_text())["data"]["gpusteward.yaml"]
    lines = [line.removeprefix("# ") for line in text.splitlines() if line.startswith(("# ", "#  "))]
    offered = "\n".join(line for line in lines if line in {"sources:", "node:"} or line.startswith("  "))
    config = Config.model_validate(yaml.safe_load(offered))

    assert config.sources.nvml.holders == "processes"
    assert config.node.instance_type == "p5.48xlarge"


@pytest.mark.parametrize("components", CHOICES, ids=" ".join)
def test_nothing_is_loosened_but_by_its_component_and_nobody_is_root(
    tmp_path: Path, components: tuple[str, ...], compose: Compose
) -> None:
    nvml = applied(tmp_path, compose, *components)
    mig, processes, gke = (extra in components for extra in EXTRAS)
    expected: Manifest = TIGHT
    if mig:
        expected = expected | {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}
    if gke:
        expected = expected | {"privileged": True, "allowPrivilegeEscalation": True}

    assert nvml.container["securityContext"] == expected
    assert nvml.pod["securityContext"]["runAsNonRoot"] is True
    assert nvml.pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert nvml.pod.get("hostPID", False) is processes
    assert not {"hostNetwork", "hostIPC"} & nvml.pod.keys()
    assert any("hostPath" in volume for volume in nvml.pod["volumes"]) is gke
    assert nvml.security_profile == ("privileged" if mig or processes or gke else "restricted")


def test_mig_is_monitored_only_with_what_the_runtime_demands_for_it(tmp_path: Path, compose: Compose) -> None:
    with_mig = applied(tmp_path / "with", compose, "nvml", "nvml/mig")
    without = applied(tmp_path / "without", compose, "nvml", "nvml/processes")

    assert with_mig.variables["NVIDIA_MIG_MONITOR_DEVICES"] == "all"
    assert "NVIDIA_MIG_MONITOR_DEVICES" not in without.variables, "without SYS_ADMIN it would not start"
    assert "SYS_ADMIN" not in without.container["securityContext"]["capabilities"].get("add", [])


def test_on_gke_the_driver_is_mounted_read_only_where_the_agent_looks_for_it(
    tmp_path: Path, compose: Compose
) -> None:
    gke = applied(tmp_path, compose, "nvml", "nvml/gke")
    (volume,) = [volume for volume in gke.pod["volumes"] if "hostPath" in volume]
    (mount,) = [mount for mount in gke.container["volumeMounts"] if mount["name"] == volume["name"]]
    config = Config.model_validate(yaml.safe_load(gke.only("ConfigMap")["data"]["gpusteward.yaml"]))
    (term,) = gke.pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]

    assert mount["mountPath"] == config.sources.nvml.driver_root
    assert mount["readOnly"] is True
    assert "runtimeClassName" not in gke.pod
    assert "nodeSelector" not in gke.pod, "its nodes do not carry the GPU Operator's label"
    assert term["matchExpressions"] == [{"key": "cloud.google.com/gke-accelerator", "operator": "Exists"}]


def test_the_way_to_the_api_server_is_for_the_agent_and_out_only() -> None:
    policy = yaml.safe_load((MONITORING / "nvml/networkpolicy.yaml").read_text())
    other = yaml.safe_load((MONITORING / "networkpolicy.yaml").read_text())

    assert policy["spec"]["podSelector"] == other["spec"]["podSelector"]
    assert policy["metadata"]["name"] != other["metadata"]["name"], "policies add up; one name would replace"
    assert policy["spec"]["policyTypes"] == ["Egress"]
    assert [port["port"] for port in policy["spec"]["egress"][0]["ports"]] == [443, 6443]
