"""Certificates of a running cluster: looked at, renewed under writes, and left alone where they are not the cluster's."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from .cluster import ROOT, Cluster
from .failures.client import Writer, lost
from .failures.connection import Connection, read_kubeconfig
from .failures.measure import WARM_UP
from .failures.whole import Observer

# The API server's, etcd's for clients and for its peers, and the kubelet's.
PORTS = (6443, 2379, 2380, 10250)
# Seconds. The goal is 2 s, as for a failure; a busy machine must keep this one too.
LONGEST_GAP = 10.0
RESTARTED = {"kube-apiserver", "kube-controller-manager", "kube-scheduler"}
OTHER = "/root/other-authority"
HEALTH = "/etc/kubernetes/pki/etcd/healthcheck-client"


def shown(cluster: Cluster) -> dict[tuple[str, int], str]:
    """A digest of the certificate that each server of each control plane shows."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    found = {}
    for host in cluster.control_planes:
        for port in PORTS:
            with (
                socket.create_connection((cluster.addresses[host], port), timeout=10) as plain,
                context.wrap_socket(plain) as connection,
            ):
                found[host, port] = hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()
    return found


def containers(cluster: Cluster, host: str) -> dict[str, str]:
    """The ids of the containers that run for the static pods of a control plane, by their names."""
    listed = json.loads(cluster.host(host).check_output("crictl ps --output json"))["containers"]
    return {item["metadata"]["name"]: item["id"] for item in listed if item["metadata"]["name"] in {*RESTARTED, "etcd"}}


def kubeconfig(cluster: Cluster) -> Path:
    """Where the lab keeps the kubeconfig of a cluster on the controller."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(state) / "kubestead/lab" / cluster.name / "kubeconfig"


def certs(cluster: Cluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What `kubestead certs` says."""
    command = [str(Path(sys.executable).with_name("kubestead")), "certs", *arguments, "-i", str(cluster.inventory)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def test_status_tells_monitoring_when_something_expires(ha_cluster: Cluster) -> None:
    # Failures were tried on this cluster: a scheduler that lost its lease to one waits for its restart, and shows nothing meanwhile.
    ha_cluster.wait_until_none(lambda: json.loads(certs(ha_cluster, "status", "--json").stdout)["problems"])
    fine = certs(ha_cluster, "status", "--json")
    assert fine.returncode == 0, fine.stdout + fine.stderr
    rows = json.loads(fine.stdout)["certificates"]
    assert {row["host"] for row in rows} == set(ha_cluster.nodes)
    assert {"pki/apiserver.crt", "pki/etcd/peer.crt", "admin.conf", "kubelet.conf"} <= {row["name"] for row in rows}
    assert all(row["days"] < 366 for row in rows if not row["authority"]), "nothing outlives a year"
    soon = certs(ha_cluster, "status", "--within", "400")
    assert soon.returncode == 1
    assert "pki/apiserver.crt on control-plane-1 expires in " in soon.stdout


def test_renewing_replaces_all_of_them_while_clients_go_on_writing(ha_cluster: Cluster) -> None:
    observer = Observer(ha_cluster)
    ha_cluster.wait_until_none(observer.defects)
    before = shown(ha_cluster)
    running = {host: containers(ha_cluster, host) for host in ha_cluster.control_planes}
    old = kubeconfig(ha_cluster).read_text()
    with Writer(observer.endpoint, limit=6000) as writer:
        writer.warm_up(WARM_UP)
        run = ha_cluster.play("playbooks/renew_certificates.yml", "-e", "control_plane_renew_force=true")
        writer.stop()
        here = writer.present(observer.endpoint)
    run.raise_for_failure()
    assert lost(writer.acknowledged, here) == []
    assert writer.gap <= LONGEST_GAP, f"failed attempts: {writer.failures}"

    after = shown(ha_cluster)
    assert [server for server in before if before[server] == after[server]] == []
    for host in ha_cluster.control_planes:
        now = containers(ha_cluster, host)
        assert {name for name in now if now[name] != running[host][name]} == RESTARTED
    assert kubeconfig(ha_cluster).read_text() != old
    url, credentials = read_kubeconfig(kubeconfig(ha_cluster).read_text())
    assert Connection.to(url, credentials.context(), 10).ask("GET", "/api/v1/nodes").status == 200
    assert ha_cluster.ready_nodes() == set(ha_cluster.nodes)

    again = ha_cluster.play("playbooks/renew_certificates.yml").raise_for_failure()
    assert again.changed == {}
    assert shown(ha_cluster) == after


@pytest.mark.parametrize("force", ["true", "false"])
def test_a_certificate_of_another_authority_stops_it_before_anything_is_changed(
    ha_cluster: Cluster, force: str
) -> None:
    before = shown(ha_cluster)
    last = ha_cluster.control_planes[-1]
    host = ha_cluster.host(last)
    host.check_output(
        f"kubeadm init phase certs etcd-ca --cert-dir {OTHER} && kubeadm init phase certs etcd-healthcheck-client --cert-dir {OTHER}"
        f" && mkdir {OTHER}/kept && cp -a {HEALTH}.crt {HEALTH}.key {OTHER}/kept/"
    )
    try:
        host.check_output(f"cp {OTHER}/etcd/healthcheck-client.* /etc/kubernetes/pki/etcd/")
        run = ha_cluster.play("playbooks/renew_certificates.yml", "-e", f"control_plane_renew_force={force}")
    finally:
        host.check_output(f"cp -a {OTHER}/kept/* /etc/kubernetes/pki/etcd/ && rm -r {OTHER}")
    assert run.code != 0
    assert "pki/etcd/healthcheck-client.crt: pki/etcd/ca.crt has not signed it" in run.output
    assert run.output.count("fatal: [") == 1
    assert run.changed == {}
    assert shown(ha_cluster) == before
