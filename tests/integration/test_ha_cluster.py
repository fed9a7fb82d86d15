"""Three control planes behind two load balancers: what holds when nothing is broken, and when the first of them is gone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from kubestead.lab.engine import Docker

from .cluster import TOKENS, Cluster
from .conftest import HA_INVENTORY, lab
from .failures.whole import Observer

SERVICES = ("haproxy", "keepalived", "ssh")
CERTIFICATE_KEY = r"certificate-?key\W+[0-9a-f]{64}"
WATCH = "/api/v1/namespaces/default/configmaps?watch=true&timeoutSeconds=30"


@pytest.fixture(scope="module")
def observer(ha_cluster: Cluster) -> Observer:
    return Observer(ha_cluster)


@pytest.fixture
def reordered(ha_cluster: Cluster, tmp_path: Path) -> Cluster:
    """The same cluster, its inventory written the other way round."""
    folder = tmp_path / "inventory"
    shutil.copytree(HA_INVENTORY, folder)
    hosts = yaml.safe_load((folder / "hosts.yml").read_text())
    for group in hosts["all"]["children"].values():
        group["hosts"] = dict(reversed(group["hosts"].items()))
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts, sort_keys=False))
    return Cluster(folder)


@pytest.fixture
def without_the_first(ha_cluster: Cluster, observer: Observer) -> Iterator[str]:
    """The first control plane is off for the time of a test; its name."""
    first = ha_cluster.control_planes[0]
    Docker()("kill", ha_cluster.container(first))
    yield first
    lab("up", "--no-cluster", inventory=HA_INVENTORY)
    ha_cluster.wait_until_none(observer.defects)


def test_one_run_makes_it_whole(observer: Observer) -> None:
    assert observer.defects() == []


def test_the_second_run_changes_nothing_and_starts_nothing_again(ha_cluster: Cluster) -> None:
    before = ha_cluster.started(ha_cluster.nodes), started(ha_cluster)
    run = ha_cluster.play("site.yml").raise_for_failure()
    assert run.changed == {}
    assert (ha_cluster.started(ha_cluster.nodes), started(ha_cluster)) == before


def test_the_order_of_the_inventory_means_nothing(reordered: Cluster) -> None:
    assert reordered.play("site.yml").raise_for_failure().changed == {}


def test_check_mode_predicts_nothing(ha_cluster: Cluster) -> None:
    assert ha_cluster.play("site.yml", "--check", "--diff").raise_for_failure().changed == {}


def test_the_certificates_were_lent_for_the_joins_alone(ha_cluster: Cluster) -> None:
    secrets = {item["metadata"]["name"] for item in ha_cluster.kubectl("get", "secrets", "-n", "kube-system")["items"]}
    assert "kubeadm-certs" not in secrets
    assert ha_cluster.kubectl("get", "secrets", "-n", "kube-system", TOKENS)["items"] == []
    for node in ha_cluster.control_planes:
        host = ha_cluster.host(node)
        places = "/tmp /var/tmp /root /var/lib/kubestead /run/kubestead*"
        assert host.check_output(f"grep -riEl '{CERTIFICATE_KEY}' {places} 2>/dev/null || true") == ""
        assert host.check_output(f"journalctl --no-pager --output=cat | grep -ciE '{CERTIFICATE_KEY}' || true") == "0"


def test_the_authority_is_one(ha_cluster: Cluster) -> None:
    digests = {ha_cluster.host(node).file("/etc/kubernetes/pki/ca.crt").sha256sum for node in ha_cluster.control_planes}
    assert len(digests) == 1


def test_a_reload_of_haproxy_closes_no_connection(ha_cluster: Cluster, observer: Observer) -> None:
    """A watch that began before the reload tells of what was made after it."""
    kubectl = "kubectl --kubeconfig /etc/kubernetes/admin.conf"
    client = ha_cluster.host(ha_cluster.control_planes[0])
    balancer = ha_cluster.host(observer.holder())
    with closing(observer.endpoint(20)) as connection:
        connection.connect()
        connection.request("GET", WATCH)
        watch = connection.getresponse()
        before = balancer.check_output("pgrep --newest -x haproxy")
        balancer.check_output("systemctl reload haproxy")
        assert balancer.check_output("pgrep --newest -x haproxy") != before
        client.check_output(f"{kubectl} create configmap made-after-the-reload")
        names = (json.loads(line)["object"]["metadata"]["name"] for line in watch)
        assert "made-after-the-reload" in names
    client.check_output(f"{kubectl} delete configmap made-after-the-reload")


def test_without_the_first_control_plane_everything_goes_on(ha_cluster: Cluster, without_the_first: str) -> None:
    run = ha_cluster.play("site.yml", "--limit", f"!{without_the_first}").raise_for_failure()
    assert run.changed == {}


def test_an_unreachable_control_plane_stops_the_run_before_any_change(
    ha_cluster: Cluster, without_the_first: str
) -> None:
    run = ha_cluster.play("site.yml")
    assert run.code != 0
    assert run.changed == {}
    assert "unreachable: " in run.output[run.output.index(f"{without_the_first}:") :]


def started(cluster: Cluster) -> dict[str, str]:
    """For each load balancer, when its services were started."""
    command = f"systemctl show --property=Id,ActiveEnterTimestampMonotonic,MainPID {' '.join(SERVICES)}"
    return {name: cluster.host(name).check_output(command) for name in cluster.load_balancers}
