"""k8s/monitoring as `kubectl apply -k` would send it, with chosen components: by kubectl, and without it."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    Compose: TypeAlias = Callable[[Path], list["Manifest"]]

Manifest: TypeAlias = dict[str, Any]  # YAML of many kinds; each test knows the shape of its own

MONITORING = ROOT / "k8s" / "monitoring"
_MERGE_KEYS = {"containers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath"}


def checkout(target: Path, components: Iterable[str]) -> Path:
    """A copy in which these lines of kustomization.yaml are no comments any more, as a user edits it."""
    folder = target / "monitoring"
    shutil.copytree(MONITORING, folder)
    file = folder / "kustomization.yaml"
    text = file.read_text()
    for component in components:
        text, found = re.subn(rf"(?m)^#   - {re.escape(component)}( .*)?$", f"  - {component}", text)
        assert found == 1, f"kustomization.yaml offers no {component}"
        text = text.replace("# components:", "components:")
    file.write_text(text)
    return folder


def by_kubectl(folder: Path) -> list[Manifest]:
    """What kustomize makes of it."""
    result = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return list(yaml.safe_load_all(result.stdout))


def by_hand(folder: Path) -> list[Manifest]:
    """The same from the parts of kustomize that are used here: resources, components, patches that merge."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    manifests = _resources(folder, kustomization)
    for component in kustomization.get("components", ()):
        inner = yaml.safe_load((folder / component / "kustomization.yaml").read_text())
        assert inner["kind"] == "Component"
        manifests += _resources(folder / component, inner)
        for patch in inner["patches"]:
            text = patch.get("patch") or (folder / component / patch["path"]).read_text()
            _apply(manifests, yaml.safe_load(text))
    (image,) = kustomization["images"]
    for container in _named(manifests, "DaemonSet")["spec"]["template"]["spec"]["containers"]:
        assert container["image"].partition(":")[0] == image["name"]
        container["image"] = f"{image['newName']}:{image['newTag']}"
    return manifests


def _resources(folder: Path, kustomization: Manifest) -> list[Manifest]:
    texts = ((folder / name).read_text() for name in kustomization.get("resources", ()))
    return [document for text in texts for document in yaml.safe_load_all(text)]


def _named(manifests: list[Manifest], kind: str) -> Manifest:
    (found,) = (manifest for manifest in manifests if manifest["kind"] == kind)
    return found


def _apply(manifests: list[Manifest], patch: Manifest) -> None:
    target = _named(manifests, patch["kind"])
    assert target["metadata"]["name"] == patch["metadata"]["name"]
    assert target["metadata"].get("namespace") == patch["metadata"].get("namespace")
    _merge(target, patch)


def _merge(target: Manifest, patch: Manifest) -> None:
    """Kubernetes' strategic merge: null takes away, lists of named things are merged by their names."""
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            _merge(target.setdefault(key, {}), value)
        elif key in _MERGE_KEYS:
            _merge_lists(target.setdefault(key, []), value, _MERGE_KEYS[key])
        else:
            target[key] = value


def _merge_lists(target: list[Manifest], patch: list[Manifest], name: str) -> None:
    for item in patch:
        same = next((one for one in target if one[name] == item[name]), None)
        if same is None:
            target.append(item)
        else:
            _merge(same, item)
