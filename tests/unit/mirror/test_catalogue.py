from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from kubestead.mirror.catalogue import Catalogue, catalogue_path, load
from kubestead.mirror.errors import MirrorError

_CONSTANTS = json.loads((Path(__file__).parent / "fixtures/kubeadm-constants.json").read_text())


def _write(folder: Path, change: tuple[str, str]) -> Path:
    text = catalogue_path().read_text()
    assert change[0] in text
    path = folder / "catalogue.yml"
    path.write_text(text.replace(*change, 1))
    return path


@pytest.mark.parametrize("kubernetes", sorted(_CONSTANTS))
def test_versions_are_those_of_kubeadm(catalogue: Catalogue, kubernetes: str) -> None:
    release = catalogue.releases[".".join(kubernetes.split(".")[:2])]
    constants = _CONSTANTS[kubernetes]
    assert release.kubernetes == kubernetes
    for name in ("etcd", "coredns", "pause", "agnhost"):
        assert release.images[name].rsplit(":", 1)[1] == constants[name]
    for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"):
        assert release.images[name] == f"registry.k8s.io/{name}:v{kubernetes}"
    for name in ("kubeadm", "kubelet", "kubectl"):
        assert release.packages[name] == kubernetes


def test_releases_are_the_supported_minors(catalogue: Catalogue) -> None:
    assert list(catalogue.releases) == ["1.35", "1.36", "1.37"]
    assert catalogue.default == "1.36"


def test_everything_in_a_release_has_a_recipe_and_the_other_way_round(catalogue: Catalogue) -> None:
    for release in catalogue.releases.values():
        assert release.packages.keys() == catalogue.artefacts.packages.keys()
        assert release.images.keys() == catalogue.artefacts.images.keys()


def test_images_come_from_known_registries_and_have_a_pinned_tag(catalogue: Catalogue) -> None:
    for release in catalogue.releases.values():
        for reference in release.images.values():
            name, tag = reference.rsplit(":", 1)
            assert name.split("/")[0] in catalogue.registries
            assert re.match(r"v?\d+\.\d+", tag), reference


def test_source_versions_agree_with_what_is_made_of_them(catalogue: Catalogue) -> None:
    for release in catalogue.releases.values():
        tags = {name: reference.rsplit(":", 1)[1] for name, reference in release.images.items()}
        assert release.sources["kubernetes"] == release.kubernetes
        assert tags["etcd"].removesuffix("-0") == release.sources["etcd"]
        assert tags["coredns"] == f"v{release.sources['coredns']}"
        assert tags["pause"] == release.sources["pause"]
        assert tags["agnhost"] == release.sources["agnhost"]
        assert tags["flannel"] == f"v{release.sources['flannel']}"
        for name, image in catalogue.artefacts.images.items():
            assert image.tag is None or release.render(image.tag) == tags[name]
        assert release.built.keys() <= release.sources.keys()
        assert release.packages["cri-tools"] == release.sources["cri-tools"]
        assert release.packages["kubernetes-cni"] == release.sources["cni-plugins"]
        assert release.packages["containerd.io"] == release.sources["containerd"]
        assert release.packages["cri-dockerd"] == release.sources["cri-dockerd"]


def test_recipes_refer_to_recipes_that_exist(catalogue: Catalogue) -> None:
    recipes = catalogue.artefacts
    for recipe in (*recipes.packages.values(), *recipes.images.values()):
        for file in recipe.files.values():
            if file.module:
                assert file.module in recipes.modules
            elif file.program and "/" in file.program:
                module, program = file.program.split("/")
                assert program in {**recipes.modules[module].programs, **recipes.modules[module].tests}
            elif file.program:
                assert file.program in recipes.c_programs
    assert all(image.base is None or image.base in recipes.bases for image in recipes.images.values())
    assert all(package.repository in recipes.repositories for package in recipes.packages.values())
    assert all(part.module in recipes.modules for part in (*recipes.manifests.values(), *recipes.c_programs.values()))
    assert all(set(package.conffiles) <= package.files.keys() for package in recipes.packages.values())


def test_every_template_can_be_rendered_for_every_release(catalogue: Catalogue) -> None:
    recipes = catalogue.artefacts
    templates = [text for module in recipes.modules.values() for text in (module.version, *module.variables.values())]
    templates += [text for manifest in recipes.manifests.values() for text in (manifest.path, manifest.upstream)]
    for release in catalogue.releases.values():
        assert not any("{" in release.render(template) for template in templates)


def test_names_of_components_are_distinct_and_the_default_set_is_known(catalogue: Catalogue) -> None:
    names = catalogue.component_names()
    assert len(names) == len(set(names))
    assert set(catalogue.components) <= set(names)


def test_nothing_is_unpinned() -> None:
    assert not re.search(r"\blatest\b|:master\b|:main\b", catalogue_path().read_text())


def test_the_file_is_plain_for_ansible() -> None:
    text = catalogue_path().read_text()
    assert "{{" not in text
    assert list(yaml.safe_load(text)) == ["__cluster_catalogue"]


def test_a_misspelt_key_is_named_with_its_place(tmp_path: Path) -> None:
    path = _write(tmp_path, ("        entrypoint: [/pause]", "        entrypiont: [/pause]"))
    with pytest.raises(MirrorError, match=r"artefacts\.images\.pause\.entrypiont"):
        load(path)


def test_a_file_needs_exactly_one_source(tmp_path: Path) -> None:
    path = _write(tmp_path, ("{program: pause}", "{program: pause, text: x}"))
    with pytest.raises(MirrorError, match="exactly one of program, module, source and text"):
        load(path)


def test_broken_yaml_and_a_missing_key_are_said(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text("a: [")
    with pytest.raises(MirrorError, match=r"broken\.yml is not YAML"):
        load(broken)
    other = tmp_path / "other.yml"
    other.write_text("a: 1")
    with pytest.raises(MirrorError, match="lacks the key __cluster_catalogue"):
        load(other)


def test_an_unknown_minor_lists_the_known(catalogue: Catalogue) -> None:
    with pytest.raises(MirrorError, match=r"1\.29 is not in the catalogue.*1\.35, 1\.36, 1\.37"):
        catalogue.release("1.29")


def test_what_an_inventory_turns_on_is_made_too(catalogue: Catalogue) -> None:
    assert catalogue.components_for({"cluster_metrics_server": False}) == catalogue.components
    assert catalogue.components_for({"cluster_metrics_server": True})[-1] == "metrics-server"
    assert catalogue.components_for({"cluster_container_runtime": "containerd"}) == catalogue.components
    assert catalogue.components_for({"cluster_container_runtime": "docker"})[-1] == "cri-dockerd"
    assert "calico-definitions" in catalogue.components_for({"cluster_network": "calico"})


def test_what_can_be_turned_on_is_known(catalogue: Catalogue) -> None:
    optional = {
        name for values in catalogue.optional_components.values() for names in values.values() for name in names
    }
    assert optional <= set(catalogue.component_names())
    assert not optional & set(catalogue.components)


def test_a_group_stands_for_its_members_each_once(catalogue: Catalogue) -> None:
    (group,) = catalogue.component_groups
    members = catalogue.component_groups[group]
    assert catalogue.members([group, "pause", members[0]]) == (*members, "pause")
    assert not set(members) & set(catalogue.components)
    for release in catalogue.releases.values():
        assert set(members) <= set(release.images), "each release has all of it"


def test_the_suite_is_that_of_the_release(catalogue: Catalogue) -> None:
    for release in catalogue.releases.values():
        assert release.images["conformance-suite"].endswith(f":v{release.kubernetes}")
        assert release.images["conformance-agnhost"] == release.images["agnhost"]


def test_the_images_of_the_specs_are_those_that_the_releases_suite_asks_for(catalogue: Catalogue) -> None:
    recorded = json.loads((Path(__file__).parent / "fixtures/e2e-images.json").read_text())
    for release in catalogue.releases.values():
        wanted = {f"registry.k8s.io/e2e-test-images/{name}" for name in recorded[release.kubernetes].values()}
        held = {reference for name, reference in release.images.items() if name.startswith("conformance-")}
        assert held - {release.images["conformance-suite"]} == wanted
