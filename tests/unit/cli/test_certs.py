from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kubestead.cli.main import app
from kubestead.runs.certificates import judge

from .conftest import FakeRuns


def certificate(name: str, days: int = 300, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "path": f"/etc/kubernetes/{name}",
        "error": "",
        "subject": "CN=a",
        "issuer": "CN=kubernetes",
        "sans": [],
        "authority": False,
        "serial": "01",
        "fingerprint": "02",
        "not_after": f"2027-01-01T00:00:{days % 60:02}Z",
        "days": days,
        "kubeadm": "",
        **more,
    }


def served(name: str, days: int = 300, current: bool | None = True, error: str = "") -> dict[str, Any]:
    return certificate(name, days, port=6443, current=current, error=error)


def found(*files: dict[str, Any], served: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"a": {"files": list(files), "served": list(served)}}


def test_nothing_is_amiss() -> None:
    status = judge(
        found(
            certificate("pki/apiserver.crt", kubeadm="apiserver"),
            certificate("kubelet.conf", 30),
            certificate("kubelet.crt"),
            certificate("external-etcd/client.crt"),
            served=(served("kube-apiserver"), served("kube-scheduler", current=None)),
        ),
        [],
        30,
    )
    assert status.healthy
    assert [row.renewed_by for row in status.certificates] == [
        "kubestead certs renew",
        "the kubelet",
        "kubestead certs renew",
        "hand",
    ]
    assert status.first is not None
    assert status.first.name == "pki/apiserver.crt"


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        (found(certificate("x.crt", 29)), "x.crt on a expires in 29 days"),
        (found(certificate("x.crt", 1)), "x.crt on a expires in 1 day"),
        (found(certificate("x.crt", -1)), "x.crt on a expired on 2027-01-01"),
        (found({"name": "x.crt", "path": "x", "error": "damaged"}), "x.crt on a cannot be read: damaged"),
        (
            found(certificate("x.crt"), served=(served("kube-apiserver", 3, current=False),)),
            "kube-apiserver on a, port 6443, shows another certificate than /etc/kubernetes/kube-apiserver holds, "
            "one that expires in 3 days: it was not started anew",
        ),
        (
            found(certificate("x.crt"), served=(served("etcd", error="refused", current=None),)),
            "etcd on a, port 6443, shows no certificate: refused",
        ),
        (
            found(certificate("x.crt"), served=(served("kube-scheduler", 3, current=None),)),
            "kube-scheduler on a, port 6443, shows a certificate of its own making that expires in 3 days: a restart makes another",
        ),
        (found(), "a has no certificates: the cluster is not built on it, or was reset"),
        ({}, "no host told of a certificate"),
    ],
)
def test_what_is_amiss(told: dict[str, Any], problem: str) -> None:
    assert judge(told, [], 30).problems == [problem]


def test_a_silent_host_is_amiss() -> None:
    assert judge(found(certificate("x")), ["b"], 30).problems == [
        "b gave no answer, so nothing is known of its certificates"
    ]


def test_status_of_a_cluster_that_is_fine(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    names = ("control-plane-1", "worker-1")
    runs.data = {"certificates": {name: found(certificate("pki/ca.crt"))["a"] for name in names}}
    result = cli.invoke(app, ["certs", "status", "-i", "prod"])
    assert result.exit_code == 0, result.stdout
    assert runs.calls[-1][0] == "certificates"
    assert result.stdout.splitlines()[0].split() == ["host", "certificate", "expires", "days", "renewed", "by"]
    assert "The first to expire is pki/ca.crt on control-plane-1, in 300 days." in result.stdout
    assert "Nothing is amiss." in result.stdout


def test_the_days_are_ones_to_choose(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    runs.data = {
        "certificates": {
            "control-plane-1": found(certificate("pki/ca.crt"))["a"],
            "worker-1": found(certificate("x"))["a"],
        }
    }
    result = cli.invoke(app, ["certs", "status", "-i", "prod", "--within", "301", "--json"])
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert not document["healthy"]
    assert document["problems"] == [
        "pki/ca.crt on control-plane-1 expires in 300 days",
        "x on worker-1 expires in 300 days",
    ]
    assert document["certificates"][0]["not_after"].startswith("2027-01-01")
    assert cli.invoke(app, ["certs", "status", "-i", "prod", "--within", "-1"]).exit_code == 2


def test_hosts_that_give_no_answer_are_amiss(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    runs.rc = 4
    result = cli.invoke(app, ["certs", "status", "-i", "prod"])
    assert result.exit_code == 1
    assert "- worker-1 gave no answer" in result.stdout
    runs.rc = 130
    assert cli.invoke(app, ["certs", "status", "-i", "prod"]).exit_code == 130


def test_renewing_runs_the_playbook(cli: CliRunner, runs: FakeRuns, inventory: Path) -> None:
    assert cli.invoke(app, ["certs", "renew", "-i", "prod"]).exit_code == 0
    playbook, _inventory, options = runs.calls[-1]
    assert (playbook, options["extra_vars"]) == ("renew_certificates", {})
    assert cli.invoke(app, ["certs", "renew", "-i", "prod", "--force"]).exit_code == 0
    assert runs.calls[-1][2]["extra_vars"] == {"control_plane_renew_force": True}
    runs.rc = 2
    assert cli.invoke(app, ["certs", "renew", "-i", "prod"]).exit_code == 1
