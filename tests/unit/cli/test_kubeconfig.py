from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from kubestead import kubeconfig
from kubestead.cli.main import app

from .conftest import FakeRuns

ROOT = Path(__file__).parents[3]
ADMIN = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: QUJD
    server: https://192.0.2.10:6443
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: kubernetes-admin
  name: kubernetes-admin@kubernetes
current-context: kubernetes-admin@kubernetes
kind: Config
users:
- name: kubernetes-admin
  user:
    client-certificate-data: REVG
    client-key-data: R0hJ
"""
OTHER = """\
# Written by hand.
apiVersion: v1
kind: Config
current-context: home
preferences: {}
clusters:
- name: home
  cluster: {server: "https://198.51.100.1:6443", insecure-skip-tls-verify: true}
contexts:
- name: home
  context: {cluster: home, user: me, namespace: mine}
users:
- name: me
  user:
    auth-provider: {config: {expiry: 2026-11-21T06:30:00Z}, name: oidc}
extensions:
- name: of-somebody
"""


@pytest.fixture
def named(inventory: Path) -> Path:
    """An inventory whose kubeconfig a run has left on this machine."""
    (inventory / "group_vars/all/cluster.yml").write_text(
        "cluster_name: prod\ncluster_kubeconfig_path: ~/prod.conf\n", encoding="utf-8"
    )
    (inventory.parent / "prod.conf").write_text(ADMIN, encoding="utf-8")
    return inventory


def merged_file(tmp_path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((tmp_path / ".kube/config").read_text(encoding="utf-8"))
    return loaded


def test_the_file_that_the_inventory_names_is_printed_as_it_is(cli: CliRunner, runs: FakeRuns, named: Path) -> None:
    result = cli.invoke(app, ["kubeconfig", "-i", "prod"])
    assert result.exit_code == 0
    assert yaml.safe_load(result.stdout) == yaml.safe_load(ADMIN)
    assert runs.calls == []
    document = json.loads(cli.invoke(app, ["kubeconfig", "-i", "prod", "--json"]).stdout)
    assert document == yaml.safe_load(ADMIN)


def test_without_one_a_control_plane_is_asked(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    def fetch(options: dict[str, Any]) -> None:
        Path(options["extra_vars"]["kubeconfig_path"]).write_text(ADMIN, encoding="utf-8")

    runs.meanwhile = fetch
    result = cli.invoke(app, ["kubeconfig", "-i", "prod"])
    assert result.exit_code == 0
    assert yaml.safe_load(result.stdout) == yaml.safe_load(ADMIN)
    assert runs.calls[-1][0] == "kubeconfig"
    assert not Path(runs.options["extra_vars"]["kubeconfig_path"]).exists()
    assert runs.options["shown_vars"] == {"kubeconfig_path": "kubeconfig"}, "a line that can be typed later"


def test_it_is_enough_that_one_control_plane_answers(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    runs.rc = 4
    runs.meanwhile = lambda options: Path(options["extra_vars"]["kubeconfig_path"]).write_text(ADMIN) and None  # type: ignore[assignment]
    assert cli.invoke(app, ["kubeconfig", "-i", "prod"]).exit_code == 0


def test_where_there_is_none_the_run_has_said_so(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    runs.rc = 2
    result = cli.invoke(app, ["kubeconfig", "-i", "prod"])
    assert result.exit_code == 1
    assert result.stdout == ""


def test_merging_begins_a_file(cli: CliRunner, named: Path, tmp_path: Path) -> None:
    result = cli.invoke(app, ["kubeconfig", "-i", "prod", "--merge", "--use"])
    assert result.exit_code == 0
    assert "Next: kubectl get nodes" in result.stdout
    found = merged_file(tmp_path)
    assert found["current-context"] == "prod"
    assert found["contexts"] == [{"name": "prod", "context": {"cluster": "prod", "user": "prod-admin"}}]
    assert found["clusters"][0]["cluster"]["server"] == "https://192.0.2.10:6443"
    assert found["users"][0] == {
        "name": "prod-admin",
        "user": {"client-certificate-data": "REVG", "client-key-data": "R0hJ"},
    }
    assert (tmp_path / ".kube/config").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / ".kube").stat().st_mode & 0o777 == 0o700


def test_merging_leaves_what_is_there(cli: CliRunner, named: Path, tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube/config").write_text(OTHER, encoding="utf-8")
    for _again in range(2):
        result = cli.invoke(app, ["kubeconfig", "-i", "prod", "--merge"])
        assert result.exit_code == 0
        assert "Next: kubectl --context prod get nodes" in result.stdout
    found = merged_file(tmp_path)
    before = yaml.safe_load(OTHER)
    assert found["current-context"] == "home"
    assert found["extensions"] == before["extensions"]
    for key in ("clusters", "contexts", "users"):
        assert [entry["name"] for entry in found[key]][1:] == ["prod-admin" if key == "users" else "prod"]
        assert found[key][0]["name"] == before[key][0]["name"]
    assert found["clusters"][0]["cluster"]["insecure-skip-tls-verify"] is True
    text = (tmp_path / ".kube/config").read_text(encoding="utf-8")
    assert "2026-11-21T06:30:00Z" in text, "a moment is written as it was read"
    assert sorted(path.name for path in (tmp_path / ".kube").iterdir()) == ["config"]


def test_a_second_cluster_of_the_same_names_lives_beside_the_first() -> None:
    admin = kubeconfig.parse(ADMIN, "test")
    both = kubeconfig.merged(kubeconfig.renamed(admin, "one"), kubeconfig.renamed(admin, "two"), use=True)
    assert [entry["name"] for entry in both["users"]] == ["one-admin", "two-admin"]
    assert both["current-context"] == "two"


def test_the_first_file_of_kubeconfig_is_merged_into(
    cli: CliRunner, named: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/mine:{tmp_path}/other")
    result = cli.invoke(app, ["kubeconfig", "-i", "prod", "--merge", "--json"])
    assert json.loads(result.stdout) == {"file": f"{tmp_path}/mine", "context": "prod", "used": False}
    assert (tmp_path / "mine").is_file()
    assert not (tmp_path / ".kube").exists()


def test_a_link_stays_a_link(cli: CliRunner, named: Path, tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    (tmp_path / "real").write_text(OTHER, encoding="utf-8")
    (tmp_path / ".kube/config").symlink_to(tmp_path / "real")
    assert cli.invoke(app, ["kubeconfig", "-i", "prod", "--merge"]).exit_code == 0
    assert (tmp_path / ".kube/config").is_symlink()
    assert "name: prod" in (tmp_path / "real").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["{ nonsense", "- a\n- list\n", "clusters: nonsense\n"])
def test_a_file_that_cannot_be_understood_stays(cli: CliRunner, named: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube/config").write_text(text, encoding="utf-8")
    result = cli.invoke(app, ["kubeconfig", "-i", "prod", "--merge"])
    assert result.exit_code == 1
    assert str(tmp_path / ".kube/config") in result.stderr
    assert (tmp_path / ".kube/config").read_text(encoding="utf-8") == text


def test_a_file_that_kubectl_is_writing_is_left_alone(cli: CliRunner, named: Path, tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube/config.lock").touch()
    result = cli.invoke(app, ["kubeconfig", "-i", "prod", "--merge"])
    assert result.exit_code == 1
    assert "being changed by somebody else" in result.stderr
    assert (tmp_path / ".kube/config.lock").exists()


def test_a_kubeconfig_of_the_cluster_that_leads_nowhere(cli: CliRunner, named: Path, tmp_path: Path) -> None:
    (tmp_path / "prod.conf").write_text("apiVersion: v1\nkind: Config\n", encoding="utf-8")
    result = cli.invoke(app, ["kubeconfig", "-i", "prod", "--merge"])
    assert result.exit_code == 1
    assert "has no entry" in result.stderr


def test_use_goes_with_merge(cli: CliRunner, named: Path) -> None:
    result = cli.invoke(app, ["kubeconfig", "-i", "prod", "--use"])
    assert result.exit_code == 2
    assert "--use goes with --merge" in result.stderr


def test_the_playbook_says_what_it_lacks() -> None:
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            "playbooks/kubeconfig.yml",
            "-i",
            "inventories/single-node",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "-e kubeconfig_path=FILE" in done.stdout
