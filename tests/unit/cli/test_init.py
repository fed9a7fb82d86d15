from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from kubestead import inventory as module
from kubestead.cli.main import app
from kubestead.runs.variables import defaults

from .conftest import FakeRuns

# A newer Kubestead has another default: what was built is written down.
PINNED = {"cluster_kubernetes_version": defaults()["cluster_kubernetes_version"]}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(path: Path) -> dict[str, object]:
    loaded: dict[str, object] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def test_a_small_cluster(cli: CliRunner, place: Path) -> None:
    words = [
        "--control-plane",
        "192.0.2.11",
        "--worker",
        "pi-4=192.0.2.21",
        "--worker",
        "192.0.2.22",
        "--user",
        "debian",
    ]
    result = cli.invoke(app, ["init", "home", *words])
    assert result.exit_code == 0, result.output
    assert "wrote home/hosts.yml" in result.stdout
    assert load(place / "home/hosts.yml") == {
        "all": {
            "vars": {"ansible_user": "debian", "ansible_become": True},
            "children": {
                "control_plane": {"hosts": {"control-plane-1": {"ansible_host": "192.0.2.11"}}},
                "workers": {
                    "hosts": {"pi-4": {"ansible_host": "192.0.2.21"}, "worker-2": {"ansible_host": "192.0.2.22"}}
                },
            },
        }
    }
    assert load(place / "home/group_vars/all/cluster.yml") == {"cluster_name": "home", **PINNED}


def test_a_highly_available_cluster_passes_validation(cli: CliRunner, place: Path) -> None:
    words = [word for number in (1, 2, 3) for word in ("--control-plane", f"192.0.2.1{number}")]
    result = cli.invoke(app, ["init", "prod", *words, "--virtual-ip", "192.0.2.10", "--name", "live"])
    assert result.exit_code == 0, result.output
    hosts = load(place / "prod/hosts.yml")
    assert hosts["all"]["children"]["load_balancers"] == {"children": {"control_plane": None}}  # type: ignore[index]
    assert load(place / "prod/group_vars/all/cluster.yml") == {
        "cluster_name": "live",
        "cluster_virtual_ip": "192.0.2.10",
        **PINNED,
    }


def test_load_balancers_of_their_own(cli: CliRunner, place: Path) -> None:
    words = ["--control-plane", "192.0.2.11", "--load-balancer", "lb=192.0.2.5", "--virtual-ip", "192.0.2.10"]
    assert cli.invoke(app, ["init", "prod", *words]).exit_code == 0
    hosts = load(place / "prod/hosts.yml")
    assert hosts["all"]["children"]["load_balancers"] == {"hosts": {"lb": {"ansible_host": "192.0.2.5"}}}  # type: ignore[index]


def test_what_validation_finds_is_said_and_the_files_stay(cli: CliRunner, place: Path) -> None:
    words = ["--control-plane", "192.0.2.11", "--worker", "192.0.2.11"]
    result = cli.invoke(app, ["init", "prod", *words])
    assert result.exit_code == 1
    assert "192.0.2.11" in result.output
    assert "mend the files in prod, then: kubestead validate -i prod" in result.stderr
    assert (place / "prod/hosts.yml").is_file()


@pytest.mark.parametrize("name", ["hosts.yml", "group_vars/all/cluster.yml"])
def test_nothing_is_overwritten(cli: CliRunner, place: Path, name: str) -> None:
    there = place / "prod" / name
    there.parent.mkdir(parents=True)
    there.write_text("mine\n", encoding="utf-8")
    result = cli.invoke(app, ["init", "prod", "--control-plane", "192.0.2.11"])
    assert result.exit_code == 2
    assert f"prod/{name} is there already" in result.stderr
    assert there.read_text(encoding="utf-8") == "mine\n"
    assert [path for path in (place / "prod").rglob("*") if path.is_file()] == [there]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "which machines? Give at least one control plane"),
        (["--worker", "192.0.2.21"], "there is no control plane"),
        (["--control-plane", "CP_1=192.0.2.11"], "'CP_1' in 'CP_1=192.0.2.11' cannot be a machine's name"),
        (["--control-plane", "cp-1="], "'' in 'cp-1=' is no address"),
        (["--control-plane", "cp-1=a b"], "'a b' in 'cp-1=a b' is no address"),
        (["--control-plane", "a=192.0.2.1", "--worker", "a=192.0.2.2"], "more than one machine is called a"),
        (["--control-plane", "192.0.2.1", "--user", "a: b"], "'a: b' cannot be a user's name"),
        (["--control-plane", "192.0.2.1", "--virtual-ip", "{{ x }}"], "is no address"),
        (["--control-plane", "192.0.2.1", "--name", "My Cluster"], "'My Cluster' cannot be a cluster's name"),
    ],
)
def test_what_cannot_be_written_is_refused_before_a_file_is_made(
    cli: CliRunner, place: Path, words: list[str], message: str
) -> None:
    result = cli.invoke(app, ["init", "prod", *words])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (place / "prod").exists()


def test_a_folder_that_cannot_be_made(cli: CliRunner, place: Path) -> None:
    (place / "file").touch()
    result = cli.invoke(app, ["init", "file/prod", "--control-plane", "192.0.2.11"])
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_without_a_list_it_asks(cli: CliRunner, place: Path, runs: FakeRuns, terminal: None) -> None:
    answers = "192.0.2.11 192.0.2.12 cp-3=192.0.2.13\n192.0.2.21\n192.0.2.10\n\nubuntu\n"
    result = cli.invoke(app, ["init", "prod"], input=answers)
    assert result.exit_code == 0, result.output
    children = load(place / "prod/hosts.yml")["all"]["children"]  # type: ignore[index]
    assert list(children["control_plane"]["hosts"]) == ["control-plane-1", "control-plane-2", "cp-3"]
    assert list(children["workers"]["hosts"]) == ["worker-1"]
    assert children["load_balancers"] == {"children": {"control_plane": None}}
    assert load(place / "prod/group_vars/all/cluster.yml")["cluster_virtual_ip"] == "192.0.2.10"
    assert runs.calls[-1][:2] == ("validate", Path("prod"))


def test_one_control_plane_is_asked_for_no_more_than_it_needs(
    cli: CliRunner, place: Path, runs: FakeRuns, terminal: None
) -> None:
    result = cli.invoke(app, ["init", "prod"], input="192.0.2.11\n\n\n")
    assert result.exit_code == 0, result.output
    assert "virtual" not in (place / "prod/group_vars/all/cluster.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["1", "null", "on", "no", "0x10"])
def test_names_that_yaml_would_read_as_something_else_are_quoted(name: str) -> None:
    wanted = module.NewInventory(
        cluster=name,
        user="root",
        control_planes=[module.Machine(name, "fd00::1")],
        kubernetes_version=PINNED["cluster_kubernetes_version"],
    )
    hosts = yaml.safe_load(module.render_hosts(wanted, Path("prod")))
    assert hosts["all"]["children"]["control_plane"]["hosts"] == {name: {"ansible_host": "fd00::1"}}
    assert yaml.safe_load(module.render_cluster(wanted)) == {"cluster_name": name, **PINNED}
