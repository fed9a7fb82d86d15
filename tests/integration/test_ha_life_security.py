"""What a cluster is like to those who should not see into it: Secrets in etcd, strangers at its doors, files on its disks."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest
import yaml

from .cluster import Cluster
from .failures.connection import insist
from .failures.whole import Observer

KUBECTL = "kubectl --kubeconfig=/etc/kubernetes/admin.conf"
WORD = "a-word-that-nobody-else-reads"
PREFIX = b"k8s:enc:secretbox:v1:"
KEYS = "/etc/kubernetes/encryption/configuration.yaml"


@pytest.fixture(scope="module")
def observer(ha_cluster: Cluster) -> Observer:
    return Observer(ha_cluster)


@pytest.fixture(scope="module", autouse=True)
def secret(ha_cluster: Cluster) -> Iterator[str]:
    """A Secret that was made through the API, and where it lies in etcd."""
    host = ha_cluster.host(ha_cluster.control_planes[0])
    host.check_output(f"{KUBECTL} create secret generic security-test --from-literal=word={WORD}")
    yield "/registry/secrets/default/security-test"
    host.check_output(f"{KUBECTL} delete secret security-test")


def stored(observer: Observer, host: str, path: str, end: str = "") -> dict[str, bytes]:
    """What this host's member of etcd holds at a path, or from there to another, without asking the other members."""
    request = {"key": base64.b64encode(path.encode()).decode(), "serializable": True}
    if end:
        request["range_end"] = base64.b64encode(end.encode()).decode()
    found = insist(lambda: observer.etcd(host), "POST", "/v3/kv/range", request).json().get("kvs", [])
    return {base64.b64decode(item["key"]).decode(): base64.b64decode(item["value"]) for item in found}


def key_names(cluster: Cluster) -> list[str]:
    """Names of the keys that the control planes encrypt with: one for each, the same for all of a healthy cluster."""
    names = []
    for host in cluster.control_planes:
        (resources,) = yaml.safe_load(cluster.host(host).check_output(f"cat {KEYS}"))["resources"]
        names.append(resources["providers"][0]["secretbox"]["keys"][0]["name"])
    return names


def status(cluster: Cluster, host: str, url: str, token: str = "") -> int:
    """What a stranger, or the owner of a token, is answered on a node."""
    header = f"--header 'Authorization: Bearer {token}'" if token else ""
    command = f"curl --silent --insecure --noproxy '*' --output /dev/null --write-out '%{{http_code}}' {header} {url}"
    return int(cluster.host(host).check_output(command))


def test_no_member_of_etcd_holds_a_secret_that_can_be_read(
    ha_cluster: Cluster, observer: Observer, secret: str
) -> None:
    (key,) = set(key_names(ha_cluster))
    for host in ha_cluster.control_planes:
        ha_cluster.wait_for(lambda: secret in stored(observer, host, secret))  # noqa: B023 - called at once
        value = stored(observer, host, secret)[secret]
        assert value.startswith(PREFIX + key.encode() + b":")
        assert WORD.encode() not in value
    everything = stored(observer, ha_cluster.control_planes[0], "/registry/secrets/", "/registry/secrets0")
    assert [path for path, value in everything.items() if not value.startswith(PREFIX)] == []


def test_the_key_is_the_same_on_all_control_planes_and_roots_alone(ha_cluster: Cluster) -> None:
    files = [ha_cluster.host(host).file(KEYS) for host in ha_cluster.control_planes]
    assert {(file.mode, file.user, file.group) for file in files} == {(0o600, "root", "root")}
    assert len({file.sha256sum for file in files}) == 1


def test_the_key_is_nowhere_else(ha_cluster: Cluster) -> None:
    for host in map(ha_cluster.host, ha_cluster.control_planes):
        (resources,) = yaml.safe_load(host.check_output(f"cat {KEYS}"))["resources"]
        key = resources["providers"][0]["secretbox"]["keys"][0]["secret"]
        places = "/tmp /var/tmp /root /var/lib/kubestead /run/kubestead* /var/log/kubernetes"
        assert (
            host.check_output(f"grep --recursive --files-with-matches --fixed-strings '{key}' {places} || true") == ""
        )
        assert host.check_output(f"journalctl --no-pager --output=cat | grep --count '{key}' || true") == "0"


def test_the_audit_log_names_who_touched_a_secret_and_not_what_is_in_it(ha_cluster: Cluster) -> None:
    log = "/var/log/kubernetes/audit.log"
    hosts = [ha_cluster.host(host) for host in ha_cluster.control_planes]
    entries = [
        json.loads(line)
        for host in hosts
        for line in host.check_output(f"grep security-test {log} || true").splitlines()
    ]
    made = next(entry for entry in entries if entry["verb"] == "create")
    assert made["user"]["username"] == "kubernetes-admin"
    assert made["objectRef"]["resource"] == "secrets"
    assert "requestObject" not in made
    encoded = base64.b64encode(WORD.encode()).decode()
    for host in hosts:
        assert host.check_output(f"grep --count --extended-regexp '{WORD}|{encoded}' {log} || true") == "0"
        assert host.file(log).mode == 0o600
        running = host.check_output("ps -C kube-apiserver -o args=")
        for argument in ("maxage=30", "maxbackup=10", "maxsize=100"):
            assert f"--audit-log-{argument}" in running


def test_strangers_are_told_of_health_alone(ha_cluster: Cluster) -> None:
    server = f"https://127.0.0.1:{ha_cluster.api_port}"
    for host in ha_cluster.control_planes:
        assert {status(ha_cluster, host, f"{server}/{path}") for path in ("readyz", "livez", "healthz")} == {200}
        for path in ("version", "api", "apis", "openapi/v2", "api/v1/namespaces/kube-public/configmaps"):
            assert status(ha_cluster, host, f"{server}/{path}") == 401, path


def test_a_kubelet_asks_the_cluster_who_may_do_what(ha_cluster: Cluster) -> None:
    first = ha_cluster.control_planes[0]
    token = ha_cluster.host(first).check_output(f"{KUBECTL} create token default --duration=10m")
    for host in ha_cluster.nodes:
        assert status(ha_cluster, host, "https://127.0.0.1:10250/pods") == 401
        assert status(ha_cluster, host, "https://127.0.0.1:10250/pods", token) == 403
        assert ha_cluster.host(host).run("curl --silent http://127.0.0.1:10255/pods").rc == 7
        assert ha_cluster.host(host).file("/var/lib/kubelet/config.yaml").mode == 0o600


def test_old_tls_is_refused(ha_cluster: Cluster) -> None:
    first = ha_cluster.host(ha_cluster.control_planes[0])
    for port in (ha_cluster.api_port, 10250, 10257, 10259):
        curl = f"curl --silent --insecure --output /dev/null https://127.0.0.1:{port}/"
        assert first.run(f"{curl} --tlsv1.2 --tls-max 1.2").rc == 0
        assert first.run(f"{curl} --tlsv1.2 --tls-max 1.2 --ciphers ECDHE-RSA-AES128-SHA").rc == 35
        assert first.run(f"{curl} --tlsv1.1 --tls-max 1.1 --ciphers DEFAULT@SECLEVEL=0").rc == 35


@pytest.mark.parametrize(
    ("pattern", "mode"),
    [
        ("/etc/kubernetes/manifests/*.yaml", 0o600),
        ("/etc/kubernetes/*.conf", 0o600),
        ("/etc/kubernetes/kube-apiserver/*.yaml", 0o600),
        ("/etc/kubernetes/pki/*.key /etc/kubernetes/pki/etcd/*.key", 0o600),
        ("/etc/kubernetes/encryption /var/lib/etcd", 0o700),
    ],
)
def test_files_are_closed_to_others(ha_cluster: Cluster, pattern: str, mode: int) -> None:
    for host in map(ha_cluster.host, ha_cluster.control_planes):
        listed = host.check_output(f"stat --format '%a %U %n' --dereference {pattern}").splitlines()
        assert listed
        assert [line for line in listed if not line.startswith(f"{mode:o} root ")] == []


def test_a_new_key_takes_over_without_a_restart(ha_cluster: Cluster, observer: Observer, secret: str) -> None:
    (before,) = set(key_names(ha_cluster))
    started = ha_cluster.started(ha_cluster.control_planes)
    ha_cluster.play("playbooks/rotate_encryption_key.yml").raise_for_failure()
    (after,) = set(key_names(ha_cluster))
    assert after != before
    assert ha_cluster.started(ha_cluster.control_planes) == started
    everything = stored(observer, ha_cluster.control_planes[0], "/registry/secrets/", "/registry/secrets0")
    assert secret in everything
    wanted = PREFIX + after.encode() + b":"
    assert [path for path, value in everything.items() if not value.startswith(wanted)] == []
    for host in ha_cluster.control_planes:
        text = ha_cluster.host(host).check_output(f"cat {KEYS}")
        assert f"name: {before}\n" not in text
        word = ha_cluster.host(host).check_output(
            f"{KUBECTL} --server=https://127.0.0.1:{ha_cluster.api_port} --tls-server-name=kubernetes.default "
            "get secret security-test --output=jsonpath={.data.word}"
        )
        assert base64.b64decode(word).decode() == WORD


def test_a_rotation_wants_every_control_plane(ha_cluster: Cluster) -> None:
    digests = {ha_cluster.host(host).file(KEYS).sha256sum for host in ha_cluster.control_planes}
    run = ha_cluster.play("playbooks/rotate_encryption_key.yml", "--limit", f"!{ha_cluster.control_planes[0]}")
    assert run.code != 0
    assert "Nothing was changed" in run.output
    assert {ha_cluster.host(host).file(KEYS).sha256sum for host in ha_cluster.control_planes} == digests
