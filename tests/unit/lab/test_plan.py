from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubestead.lab import plan
from kubestead.lab.errors import LabError
from kubestead.lab.plan import CONTROL_PLANE, WORKERS, Node, derive, plan_from, read, resize, write_inventory

ROOT = Path(__file__).parents[3]
SOURCE = Path("somewhere")


def said(hosts: dict[str, str], *, control_plane: list[str] | None = None, **variables: Any) -> dict[str, Any]:
    control_plane = ["cp"] if control_plane is None else control_plane
    return {
        "_meta": {"hostvars": {name: {"ansible_host": address} for name, address in hosts.items()}},
        "all": {"children": ["control_plane", "workers"], "vars": variables},
        "control_plane": {"hosts": control_plane},
        "workers": {"hosts": [name for name in hosts if name not in control_plane]},
    }


def test_the_labs_own_inventory() -> None:
    found = read(ROOT / "inventories" / "lab")
    assert found.name == "lab"
    assert [(node.name, node.address, node.group) for node in found.nodes] == [
        ("control-plane-1", "172.29.96.11", "control_plane"),
        ("worker-1", "172.29.96.21", "workers"),
        ("worker-2", "172.29.96.22", "workers"),
    ]
    assert (str(found.subnet), found.gateway, found.mirror_port) == ("172.29.96.0/24", "172.29.96.1", 8765)
    assert found.network == "kubestead-lab"


def test_a_mirror_elsewhere_is_not_ours_to_serve() -> None:
    hosts = {"cp": "172.29.5.11"}
    assert plan_from(said(hosts, cluster_mirror_url="http://mirror.example:8765"), SOURCE).mirror_port is None
    assert plan_from(said(hosts), SOURCE).mirror_port is None
    assert plan_from(said(hosts, cluster_mirror_url="http://172.29.5.1/"), SOURCE).mirror_port == 80


def test_a_host_in_both_groups_is_one_node() -> None:
    inventory = said({"cp": "172.29.5.11"})
    inventory["workers"]["hosts"] = ["cp"]
    assert [node.group for node in plan_from(inventory, SOURCE).nodes] == [CONTROL_PLANE]


def test_a_load_balancer_gets_a_node_as_well() -> None:
    inventory = said({"cp": "172.29.5.11"})
    inventory["_meta"]["hostvars"]["lb"] = {"ansible_host": "172.29.5.9"}
    inventory["all"]["children"].append("load_balancers")
    inventory["load_balancers"] = {"hosts": ["lb"]}
    assert [node.name for node in plan_from(inventory, SOURCE).nodes] == ["cp", "lb"]


@pytest.mark.parametrize(
    ("inventory", "message"),
    [
        (said({"w": "172.29.5.21"}, control_plane=[]), "group control_plane has no host"),
        (said({"cp": "172.29.5.11", "w": "172.29.5.11"}), "cp and w have the same address, 172.29.5.11"),
        (said({"cp": "172.29.5.11", "w": "172.29.6.21"}), "outside 172.29.5.0/24"),
        (said({"cp": "172.29.5.1"}), "this machine's own"),
        (said({"cp": "8.8.8.8"}), "no private network"),
        (said({"cp": "machine.example"}), "ansible_host of cp is 'machine.example'"),
        (said({"cp": ""}), "ansible_host of cp is ''"),
        (said({"cp": "172.29.5.11", "Bad_Name": "172.29.5.12"}), "'Bad_Name' cannot be a container's"),
        (said({"cp": "172.29.5.11"}, cluster_name="Two Words"), "cluster_name is 'Two Words'"),
    ],
)
def test_inventories_that_no_lab_can_be_made_from(inventory: dict[str, Any], message: str) -> None:
    with pytest.raises(LabError, match=message) as error:
        plan_from(inventory, SOURCE)
    assert "somewhere" in str(error.value)


def test_an_inventory_that_is_not_there() -> None:
    with pytest.raises(LabError, match="there is no such inventory"):
        read(Path("/nowhere/lab"))


def test_ansibles_own_complaint_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: [broken\n")
    with pytest.raises(LabError, match=r"hosts\.yml: the group control_plane has no host"):
        read(tmp_path / "hosts.yml")


NODES = (
    Node("cp", "172.29.5.11", CONTROL_PLANE),
    Node("worker-1", "172.29.5.21", WORKERS),
    Node("big", "172.29.5.23", WORKERS),
)


def test_more_workers_take_free_names_and_addresses() -> None:
    workers = [node for node in resize(NODES, WORKERS, 5) if node.group == WORKERS]
    assert [(node.name, node.address.rpartition(".")[2]) for node in workers] == [
        ("worker-1", "21"),
        ("big", "23"),
        ("worker-2", "22"),
        ("worker-3", "24"),
        ("worker-4", "25"),
    ]


def test_fewer_workers_keep_the_first() -> None:
    assert [node.name for node in resize(NODES, WORKERS, 1)] == ["cp", "worker-1"]
    assert [node.name for node in resize(NODES, WORKERS, 0)] == ["cp"]


def test_the_same_number_is_the_same_nodes() -> None:
    assert resize(NODES, WORKERS, 2) == NODES


def test_growing_in_two_steps_or_one_is_the_same() -> None:
    assert resize(resize(NODES, WORKERS, 3), WORKERS, 6) == resize(NODES, WORKERS, 6)


def test_control_planes_come_first() -> None:
    assert [node.name for node in resize(NODES, CONTROL_PLANE, 3)] == [
        "cp",
        "control-plane-1",
        "control-plane-2",
        "worker-1",
        "big",
    ]


def test_as_many_as_the_network_holds() -> None:
    assert len({node.address for node in resize(NODES, WORKERS, 230)}) == 231
    with pytest.raises(LabError, match="room for 230"):
        resize(NODES, WORKERS, 231)


@pytest.mark.parametrize(("wish", "message"), [({"control_planes": 0}, "at least one"), ({"workers": -1}, "0 or more")])
def test_impossible_numbers(wish: dict[str, int], message: str) -> None:
    inventory = plan_from(said({"cp": "172.29.5.11"}), SOURCE)
    with pytest.raises(LabError, match=message):
        derive(inventory, **{"control_planes": None, "workers": None, **wish})


def test_without_a_wish_the_inventory_itself_is_used() -> None:
    found = plan_from(said({"cp": "172.29.5.11"}), SOURCE)
    assert derive(found, control_planes=None, workers=None) is found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An inventory with variables in every place, and a group of its own."""
    folder = tmp_path / "inventory"
    (folder / "group_vars" / "all").mkdir(parents=True)
    (folder / "host_vars").mkdir()
    (folder / "hosts.yml").write_text(
        yaml.safe_dump(
            {
                "all": {
                    "children": {
                        "control_plane": {
                            "hosts": {"cp": {"ansible_host": "172.29.5.11", "cluster_node_labels": {"a": "b"}}}
                        },
                        "workers": {"hosts": {"worker-1": {"ansible_host": "172.29.5.21"}}},
                        "load_balancers": {"children": {"control_plane": None}},
                    }
                }
            }
        )
    )
    (folder / "group_vars" / "all" / "cluster.yml").write_text("cluster_name: other\ncluster_pod_cidr: 10.9.0.0/16\n")
    (folder / "group_vars" / "workers.yml").write_text("of_workers: true\n")
    (folder / "host_vars" / "worker-1.yml").write_text("of_worker: 1\n")
    return folder


def inventory_of(path: Path) -> Callable[[str], dict[str, Any]]:
    program = str(Path(plan.sys.executable).parent / "ansible-inventory")
    listed = json.loads(plan.run([program, "-i", str(path), "--list"]))
    return lambda host: (
        listed["_meta"]["hostvars"].get(host, {})
        | {"groups": [g for g, e in listed.items() if host in e.get("hosts", [])]}
    )


def test_a_larger_lab_has_the_same_variables(source: Path, folders: Path) -> None:
    larger = derive(read(source), control_planes=2, workers=2, kubernetes="1.37")
    write_inventory(larger)
    host = inventory_of(larger.inventory)
    assert larger.inventory == folders / "state/kubestead/lab/other/inventory"
    assert host("cp")["cluster_node_labels"] == {"a": "b"}
    assert host("worker-1")["of_worker"] == 1
    assert host("worker-2")["of_workers"] is True
    assert host("worker-2")["ansible_host"] == "172.29.5.22"
    assert host("control-plane-1")["cluster_pod_cidr"] == "10.9.0.0/16"
    assert host("control-plane-1")["cluster_kubernetes_version"] == "1.37"
    again = read(larger.inventory)
    assert [node.name for node in again.nodes] == ["cp", "control-plane-1", "worker-1", "worker-2"]
    assert again.other_groups["load_balancers"]["children"] == ["control_plane"]


def test_a_larger_lab_can_be_written_again_and_follows_its_source(source: Path) -> None:
    write_inventory(derive(read(source), control_planes=None, workers=3))
    (source / "group_vars" / "all" / "cluster.yml").write_text("cluster_name: other\ncluster_pod_cidr: 10.8.0.0/16\n")
    smaller = derive(read(source), control_planes=None, workers=1)
    write_inventory(smaller)
    host = inventory_of(smaller.inventory)
    assert host("cp")["cluster_pod_cidr"] == "10.8.0.0/16"
    assert not host("worker-2")["groups"]


def test_the_source_is_never_written_to(source: Path) -> None:
    before = {path: path.read_text() for path in source.rglob("*") if path.is_file()}
    write_inventory(derive(read(source), control_planes=3, workers=3, kubernetes="1.35"))
    assert {path: path.read_text() for path in source.rglob("*") if path.is_file()} == before


def test_a_machine_that_is_no_node_is_told_by_its_own_group() -> None:
    made = plan.read(Path("inventories/lab-ha"))
    assert {made.place(node) for node in made.nodes} == {"control_plane", "workers", "load_balancers"}
