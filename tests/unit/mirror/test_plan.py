from __future__ import annotations

import pytest

from kubestead.mirror.catalogue import Catalogue
from kubestead.mirror.errors import MirrorError
from kubestead.mirror.plan import Planner


def _planner(catalogue: Catalogue, minor: str = "1.36", architecture: str = "amd64") -> Planner:
    return Planner(catalogue, minor, architecture=architecture, suite="bookworm")


def _keys(planner: Planner) -> dict[str, str]:
    return {component.name: component.step.key for component in planner.components(None)}


def test_the_default_set_has_packages_images_and_manifests(catalogue: Catalogue) -> None:
    components = _planner(catalogue).components(None)
    assert [component.name for component in components] == list(catalogue.components)
    assert {component.kind for component in components} == {"package", "image", "manifest"}


def test_the_kubernetes_recipe_has_its_versions_filled_in(catalogue: Catalogue) -> None:
    (kubeadm,) = _planner(catalogue).components(["kubeadm"])
    assert kubeadm.reference == "1.36.4-1.1"
    recipe = kubeadm.step.inputs["kubernetes"].recipe
    assert recipe["version"] == "v1.36.4"
    assert recipe["local_replacements"] == "v0.36.4"
    assert recipe["variables"]["k8s.io/component-base/version.gitVersion"] == "v1.36.4"
    assert recipe["variables"]["k8s.io/component-base/version.gitMinor"] == "36"


def test_images_without_a_base_have_no_base_input(catalogue: Catalogue) -> None:
    apiserver, proxy = _planner(catalogue).components(["kube-apiserver", "kube-proxy"])
    assert list(apiserver.step.inputs) == ["kubernetes"]
    assert sorted(proxy.step.inputs) == ["base:iptables", "kubernetes"]
    assert apiserver.step.inputs["kubernetes"] is proxy.step.inputs["kubernetes"]


def test_keys_are_the_same_each_time(catalogue: Catalogue) -> None:
    assert _keys(_planner(catalogue)) == _keys(_planner(catalogue))


def test_a_minor_shares_what_does_not_depend_on_it(catalogue: Catalogue) -> None:
    older, newer = _keys(_planner(catalogue, "1.35")), _keys(_planner(catalogue, "1.36"))
    same = {name for name in older if older[name] == newer[name]}
    assert same == {
        "cri-tools", "kubernetes-cni", "containerd.io", "flannel", "flannel-cni-plugin", "flannel-manifest",
    }  # fmt: skip


def test_what_cannot_be_built_as_upstream_has_it_is_planned_as_it_can(catalogue: Catalogue) -> None:
    release = catalogue.release("1.36")
    names = ["calico-node", "calico-definitions"]
    node, definitions = _planner(catalogue).components(names)
    version = release.built["calico"]
    assert (node.reference, definitions.reference) == (
        f"quay.io/calico/node:v{version}",
        f"calico/v{version}/crds.yaml",
    )
    assert node.step.inputs["calico"].recipe["variables"]["main.VERSION"] == f"v{version}"
    upstream = Planner(catalogue, "1.36", architecture="amd64", suite="bookworm", upstream=True)
    node, definitions = upstream.components(names)
    assert node.reference == release.images["calico-node"]
    assert definitions.reference == f"calico/v{release.sources['calico']}/crds.yaml"


def test_another_architecture_is_another_artefact(catalogue: Catalogue) -> None:
    here, there = _keys(_planner(catalogue)), _keys(_planner(catalogue, architecture="arm64"))
    assert not {name for name in here if here[name] == there[name]} - {"flannel-manifest"}


def test_a_changed_input_changes_what_is_made_of_it(catalogue: Catalogue) -> None:
    recipes = catalogue.artefacts
    runc = recipes.modules["runc"].model_copy(update={"tags": ("seccomp",)})
    changed = catalogue.model_copy(
        update={"artefacts": recipes.model_copy(update={"modules": {**recipes.modules, "runc": runc}})}
    )
    before, after = _keys(_planner(catalogue)), _keys(_planner(changed))
    assert {name for name in before if before[name] != after[name]} == {"containerd.io"}


def test_a_misspelt_component_gets_a_suggestion(catalogue: Catalogue) -> None:
    with pytest.raises(MirrorError, match=r"kublet \(perhaps kubelet\).*Components are: kubeadm"):
        _planner(catalogue).components(["kublet"])
