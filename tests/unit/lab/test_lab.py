from __future__ import annotations

import json
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kubestead import processes
from kubestead.cli.lab import app
from kubestead.lab import Lab, LabError, Wish, connections, engine, footprint, mirror
from kubestead.lab.files import lock, write_atomically
from kubestead.lab.lab import overlapping_route
from kubestead.lab.plan import lab_folder

from .conftest import RECORDED, FakeDocker

ROOT = Path(__file__).parents[3]
INVENTORY = ROOT / "inventories" / "lab"
ROUTES = json.dumps(
    [
        {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"},
        {"dst": "172.17.0.0/16", "dev": "docker0"},
        {"dst": "10.8.0.1", "dev": "wg0"},
    ]
)


def container(name: str, address: str, state: str) -> dict[str, Any]:
    return {
        "Id": f"id-of-{name}",
        "Config": {"Labels": {"io.kubestead.lab": "lab", "io.kubestead.lab.node": name}},
        "State": {"Status": state},
        "NetworkSettings": {"Networks": {"kubestead-lab": {"IPAMConfig": {"IPv4Address": address}}}},
    }


@pytest.fixture
def two_of_three(fake_docker: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    """An engine in which the control plane runs, one worker has stopped, and one is missing."""
    monkeypatch.setattr(engine, "our_process", lambda: None)
    monkeypatch.setattr(mirror, "state", lambda plan: "answers")
    fake_docker.answer("info", text=(RECORDED / "docker-info.json").read_text())
    fake_docker.answer("ps", text="one two\n")
    found = [container("control-plane-1", "172.29.96.11", "running"), container("worker-1", "172.29.96.21", "exited")]
    fake_docker.answer("container", "inspect", text=json.dumps(found))
    return fake_docker


def test_status_tells_each_node_and_the_whole(two_of_three: FakeDocker) -> None:
    found = Lab(INVENTORY).status()
    assert [(node.name, node.state) for node in found.nodes] == [
        ("control-plane-1", "running"),
        ("worker-1", "exited"),
        ("worker-2", "absent"),
    ]
    assert not found.complete


def test_the_command_says_it_with_its_exit_code(two_of_three: FakeDocker) -> None:
    runner = CliRunner()
    result = runner.invoke(app, ["status", "--json", "-i", str(INVENTORY)])
    assert result.exit_code == 1
    assert json.loads(result.output)["nodes"][1]["state"] == "exited"
    running = [container(f"worker-{n}", f"172.29.96.2{n}", "running") for n in (1, 2)]
    running.append(container("control-plane-1", "172.29.96.11", "running"))
    two_of_three.answer("container", "inspect", text=json.dumps(running))
    result = runner.invoke(app, ["status", "-i", str(INVENTORY)])
    assert result.exit_code == 0, result.output
    assert "172.29.96.22" in result.output


def test_without_an_engine_all_is_absent(fake_docker: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "state", lambda plan: "silent")
    fake_docker.answer("info", code=1, text="Cannot connect to the Docker daemon")
    found = Lab(INVENTORY).status()
    assert {node.state for node in found.nodes} == {"absent"}
    assert (found.engine, found.complete) == ("", False)


def test_up_touches_only_what_is_missing(two_of_three: FakeDocker) -> None:
    lab = Lab(INVENTORY)
    containers = lab._containers()
    missing = [node for node in lab.plan.nodes if not lab._usable(node, containers)]
    assert [node.name for node in missing] == ["worker-1", "worker-2"]
    for node in missing:
        lab._start(node, containers, ["--privileged"], "ssh-ed25519 AAAA", "image:1")
    started, created = two_of_three.calls()[-2:]
    assert started == ["start", "lab-worker-1"]
    assert created[:2] == ["run", "--detach"]
    assert created[-2:] == ["--privileged", "image:1"]
    text = " ".join(created)
    for part in (
        "--name lab-worker-2 --hostname worker-2",
        "--network kubestead-lab --ip 172.29.96.22",
        "--label io.kubestead.lab=lab --label io.kubestead.lab.node=worker-2",
        "--env KUBESTEAD_AUTHORIZED_KEY=ssh-ed25519 AAAA",
    ):
        assert part in text


def test_a_half_made_container_is_made_again(two_of_three: FakeDocker) -> None:
    two_of_three.answer(
        "container", "inspect", text=json.dumps([container("control-plane-1", "172.29.96.11", "created")])
    )
    lab = Lab(INVENTORY)
    lab._start(lab.plan.nodes[0], lab._containers(), [], "key", "image:1")
    removed, created = two_of_three.calls()[-2:]
    assert removed == ["rm", "--force", "--volumes", "lab-control-plane-1"]
    assert created[0] == "run"


def test_a_node_that_moved_is_not_silently_kept(two_of_three: FakeDocker) -> None:
    moved = [container("control-plane-1", "172.29.96.99", "running")]
    two_of_three.answer("container", "inspect", text=json.dumps(moved))
    lab = Lab(INVENTORY)
    with pytest.raises(LabError, match=r"runs at 172\.29\.96\.99.*lab down"):
        lab._usable(lab.plan.nodes[0], lab._containers())


def test_what_was_asked_for_is_remembered_until_down() -> None:
    write_atomically(
        lab_folder("lab") / "lab.json", json.dumps({"control_planes": None, "workers": 4, "kubernetes": "1.37"})
    )
    lab = Lab(INVENTORY)
    assert len(lab.plan.nodes) == 5
    assert lab.plan.kubernetes == "1.37"
    grown = Lab(INVENTORY, wish=Wish(workers=5))
    assert (len(grown.plan.nodes), grown.plan.kubernetes) == (6, "1.37")
    assert len(Lab(INVENTORY, wish=Wish(workers=0)).plan.nodes) == 1


def test_looking_at_a_lab_writes_nothing(two_of_three: FakeDocker, folders: Path) -> None:
    Lab(INVENTORY, wish=Wish(workers=9)).status()
    assert not (folders / "state").exists()


def test_down_takes_volumes_along_and_forgets_the_lab(
    two_of_three: FakeDocker, monkeypatch: pytest.MonkeyPatch, folders: Path
) -> None:
    monkeypatch.setattr(engine, "stop", lambda: pytest.fail("stopped an engine that is not the lab's"))
    two_of_three.answer("network", "ls", text="net1\n")
    write_atomically(lab_folder("lab") / "known_hosts", "")
    removed = Lab(INVENTORY).down()
    calls = two_of_three.calls()
    assert ["rm", "--force", "--volumes", "one", "two"] in calls
    assert ["network", "rm", "net1"] in calls
    assert calls.index(["network", "rm", "net1"]) > calls.index(["rm", "--force", "--volumes", "one", "two"])
    assert "2 nodes" in removed
    assert not (folders / "state/kubestead").exists()


def test_down_without_a_lab_says_so(fake_docker: FakeDocker) -> None:
    fake_docker.answer("info", code=1, text="Cannot connect to the Docker daemon")
    result = CliRunner().invoke(app, ["down", "-i", str(INVENTORY)])
    assert result.exit_code == 0
    assert "nothing of the lab lab to remove" in result.output


def test_a_failed_up_says_what_is_left_and_how_to_go_on(
    fake_docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    fake_docker.answer("info", code=1, text="Cannot connect to the Docker daemon")
    result = CliRunner().invoke(app, ["up", "-i", str(INVENTORY), "--no-cluster"])
    assert result.exit_code == 1
    assert "No Docker engine runs here" in result.output
    assert f"kubestead lab down -i {INVENTORY}" in result.output
    assert "Traceback" not in result.output


def test_two_commands_at_once_do_not_mix(fake_docker: FakeDocker, folders: Path) -> None:
    with lock(folders / "cache/kubestead/lab/locks/lab.lock"), pytest.raises(LabError, match="at work on the lab lab"):
        Lab(INVENTORY).up_nodes()


def test_the_doctor_prints_every_finding_and_its_remedy(two_of_three: FakeDocker) -> None:
    two_of_three.answer("image", "inspect", code=1, text="Error: No such image")
    result = CliRunner().invoke(app, ["doctor", "-i", str(INVENTORY), "--json"])
    found = {entry["name"]: entry for entry in json.loads(result.output)}
    assert {"platform", "engine", "privileges", "cgroups", "kernel", "resolvers", "image"} <= set(found)
    assert found["cgroups"]["level"] == "handled"
    text = CliRunner().invoke(app, ["doctor", "-i", str(INVENTORY)]).output
    for name, entry in found.items():
        assert name in text
        assert entry["remedy"][:40] in text


def test_a_network_in_use_is_noticed_before_docker_takes_it() -> None:
    assert overlapping_route(ROUTES, IPv4Network("172.17.5.0/24")) == "172.17.0.0/16 on docker0"
    assert overlapping_route(ROUTES, IPv4Network("10.8.0.0/24")) == "10.8.0.1 on wg0"
    assert overlapping_route(ROUTES, IPv4Network("172.29.96.0/24")) == ""


def test_only_connections_to_the_nodes_are_the_labs() -> None:
    table = (RECORDED / "tcp.txt").read_text()
    assert connections.tcp_sockets(table, ["172.29.96.21", "172.29.96.22"]) == {"265194"}
    assert connections.tcp_sockets(table, ["172.29.96.1"]) == set()


def test_a_process_that_is_asked_to_end_does() -> None:
    import subprocess

    process = subprocess.Popen(["sleep", "600"])
    assert processes.started(process.pid)
    processes.end([process.pid])
    assert not processes.started(process.pid)
    assert process.wait() == -15


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "known_hosts"
    write_atomically(file, "one\n", mode=0o600)
    with pytest.raises(UnicodeEncodeError):
        write_atomically(file, "\ud800")
    assert file.read_text() == "one\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["known_hosts"]


def test_the_footprint_names_only_what_was_added() -> None:
    before = {"links": ["eth0"], "files": []}
    after = {"links": ["eth0", "br-1"], "files": ["/run/docker"]}
    assert footprint.added(before, after) == ["links: br-1", "files: /run/docker"]
    assert footprint.added(after, after) == []
