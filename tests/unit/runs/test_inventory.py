from __future__ import annotations

from pathlib import Path

import pytest

from kubestead.runs.inventory import digest, known


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    (tmp_path / "group_vars/all").mkdir(parents=True)
    (tmp_path / "hosts.yml").write_text("all: {hosts: {one: {}}}\n")
    (tmp_path / "group_vars/all/cluster.yml").write_text("cluster_name: home\ncluster_kubernetes_version: 1.36\n")
    return tmp_path


def test_the_digest_changes_with_any_file_and_only_then(inventory: Path) -> None:
    first = digest(inventory)
    assert first.startswith("sha256:")
    assert len(first) == len("sha256:") + 64
    (inventory / ".hosts.yml.swp").write_text("an editor's")
    assert digest(inventory) == first
    (inventory / "group_vars/all/cluster.yml").write_text("cluster_name: other\n")
    second = digest(inventory)
    (inventory / "group_vars/all/cluster.yml").rename(inventory / "group_vars/all/b.yml")
    assert len({first, second, digest(inventory)}) == 3


def test_a_file_as_inventory_goes_with_the_variables_beside_it(inventory: Path) -> None:
    first = digest(inventory / "hosts.yml")
    (inventory / "README.md").write_text("not of the inventory")
    assert digest(inventory / "hosts.yml") == first
    (inventory / "group_vars/all/more.yml").write_text("a: 1\n")
    assert digest(inventory / "hosts.yml") != first


def test_an_inventory_that_cannot_be_read_has_no_digest(tmp_path: Path) -> None:
    assert digest(tmp_path / "nowhere.yml") == ""


def test_what_stands_there_in_plain_words_is_known(inventory: Path) -> None:
    assert known(inventory) == known(inventory / "hosts.yml") == {"cluster": "home", "kubernetes": "1.36"}


def test_vaults_templates_and_broken_files_are_no_obstacle(inventory: Path) -> None:
    folder = inventory / "group_vars/all"
    folder.joinpath("a.yml").write_text("cluster_name: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3132\n")
    folder.joinpath("b.yml").write_text("$ANSIBLE_VAULT;1.1;AES256\n3132\n")
    folder.joinpath("c.yml").write_text(": : nonsense {{\n")
    folder.joinpath("d.yml").write_text("cluster_kubernetes_version: '{{ minor }}'\n")
    assert known(inventory) == {"cluster": "home", "kubernetes": "1.36"}
    assert known(inventory / "group_vars") == {"cluster": "", "kubernetes": ""}
