"""What validation asks of a mirror, and what it makes of the answers."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from ansible_collections.kubestead.cluster.plugins.module_utils import _validation_mirror
from ansible_collections.kubestead.cluster.plugins.module_utils._validation import Mirror, MirrorAnswer, validate
from ansible_collections.kubestead.cluster.plugins.module_utils._validation_mirror import ask, held
from ansible_collections.kubestead.cluster.plugins.module_utils._validation_values import Supported

from .conftest import HOSTS

URL = "http://mirror.example.org:8765"


PARTS = {
    "kubeadm": "1.36.4",
    "containerd.io": "2.3.7",
    "etcd": "registry.k8s.io/etcd:3.6.8-0",
    "agnhost": "registry.k8s.io/e2e-test-images/agnhost:2.59",
    "flannel": "ghcr.io/flannel-io/flannel:v0.28.4",
}


def index(**others: str | None) -> dict[str, Any]:
    """An index as a mirror of 1.36 publishes it, but for the parts given."""
    held = {**PARTS, "kubeadm": "1.36.4-1.1", "containerd.io": "2.3.7-1~debian.12~bookworm", **others}
    return {
        "components": [
            {"minor": "1.36", "name": name, "reference": reference} for name, reference in held.items() if reference
        ]
    }


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = {"/good/index.json": b'{"components": []}', "/list/index.json": b"[]", "/text/index.json": b"hi"}
        self.send_response(200 if self.path in body else 404)
        self.end_headers()
        self.wfile.write(body.get(self.path, b""))

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def mirror(answer: MirrorAnswer) -> tuple[Mirror, list[str]]:
    asked: list[str] = []

    def ask_once(url: str) -> MirrorAnswer:
        asked.append(url)
        return answer

    return Mirror(ask_once, held), asked


def test_an_index_is_read(server: str) -> None:
    assert ask(f"{server}/good") == MirrorAnswer(f"{server}/good/index.json", {"components": []})


@pytest.mark.parametrize(
    ("folder", "failure"),
    [
        ("missing", "HTTP 404, so something else than a Kubestead mirror is there"),
        ("list", "something else than a mirror's index"),
        ("text", "no index (Expecting value: line 1 column 1 (char 0))"),
    ],
)
def test_other_servers_are_no_mirrors(server: str, folder: str, failure: str) -> None:
    assert ask(f"{server}/{folder}") == MirrorAnswer(f"{server}/{folder}/index.json", None, failure)


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        answer = ask(f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert (answer.contents, answer.failure) == (None, "connection refused")


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_validation_mirror, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answer = ask(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert answer.contents is None
    assert "0.05 s" in answer.failure or "timed out" in answer.failure


def test_a_proxy_of_the_environment_is_not_used(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert ask(f"{server}/good").contents is not None


def test_an_unreachable_mirror(check: Any) -> None:
    access, _asked = mirror(MirrorAnswer(f"{URL}/index.json", None, "connection refused"))
    found = check(f"cluster_mirror_url: {URL}\n", mirror=access)
    assert [finding.message for finding in found] == [
        f'group_vars/all/cluster.yml:1: cluster_mirror_url is "{URL}": the mirror does not answer: '
        f"GET {URL}/index.json brought connection refused. "
        "Serve it with `kubestead mirror serve`, or set cluster_validate_mirror: false where only the nodes reach it."
    ]


def test_a_mirror_without_the_wanted_release(check: Any) -> None:
    access, _asked = mirror(MirrorAnswer(URL, index()))
    found = check(f'cluster_mirror_url: {URL}\ncluster_kubernetes_version: "1.37.1"\n', mirror=access)
    assert [finding.message for finding in found] == [
        f'group_vars/all/cluster.yml:1: cluster_mirror_url is "{URL}": the mirror holds Kubernetes 1.36 and not 1.37. '
        "Run `kubestead mirror build --kubernetes 1.37` where it is served."
    ]


def test_a_mirror_with_the_wanted_release(check: Any) -> None:
    access, asked = mirror(MirrorAnswer(URL, index()))
    assert check(f"cluster_mirror_url: {URL}/\n", mirror=access) == []
    assert asked == [URL]


@pytest.mark.parametrize(
    ("held", "lacking"),
    [
        ({"kubeadm": "1.36.3-1.1"}, "kubeadm 1.36.4"),
        ({"etcd": None, "flannel": None}, "registry.k8s.io/etcd:3.6.8-0 and ghcr.io/flannel-io/flannel:v0.28.4"),
    ],
)
def test_a_mirror_that_lacks_parts(held: dict[str, str | None], lacking: str, check: Any) -> None:
    access, _asked = mirror(MirrorAnswer(URL, index(**held)))
    found = check(f"cluster_mirror_url: {URL}\n", mirror=access)
    assert [finding.message for finding in found] == [
        f'group_vars/all/cluster.yml:1: cluster_mirror_url is "{URL}": the mirror lacks parts of Kubernetes 1.36, '
        f"or has them in other versions: {lacking}. "
        "Run `kubestead mirror build --kubernetes 1.36` where it is served."
    ]


@pytest.mark.parametrize(
    ("variable", "lacking"),
    [
        ("cluster_packages_url: http://other.example.org", ["kubeadm"]),
        ("cluster_containerd_packages_url: http://other.example.org", ["containerd.io"]),
        ("cluster_containerd_source: distribution", ["containerd.io"]),
        ("cluster_image_repository: other.example.org/k8s", ["etcd", "agnhost", "flannel"]),
        ("cluster_registry_mirrors: {ghcr.io: [http://other.example.org]}", ["etcd", "agnhost", "flannel"]),
        ("cluster_network: none\ncluster_smoke_test: false", ["agnhost", "flannel"]),
    ],
)
def test_parts_from_elsewhere_may_lack(variable: str, lacking: list[str], check: Any) -> None:
    access, _asked = mirror(MirrorAnswer(URL, index(**dict.fromkeys(lacking))))
    assert check(f"cluster_mirror_url: {URL}\n{variable}\n", mirror=access) == []


def test_a_mirror_as_it_is_built_is_enough_for_a_cluster(load: Any, options: Any) -> None:
    """The catalogue's own parts: what it gains on request must not be asked of every mirror."""
    text = (Path(__file__).parents[3] / "roles/cluster/vars/main/catalogue.yml").read_text(encoding="utf-8")
    catalogue = yaml.safe_load(text)["__cluster_catalogue"]
    release = catalogue["releases"]["1.36"]
    parts = {**release["packages"], **release["images"]}
    held = [
        {"minor": "1.36", "name": name, "reference": parts[name]} for name in catalogue["components"] if name in parts
    ]
    access, _asked = mirror(MirrorAnswer(URL, {"components": held}))
    inventory = load({"hosts.yml": HOSTS, "group_vars/all/cluster.yml": f"cluster_mirror_url: {URL}\n"})
    assert validate(inventory, options, Supported.by(catalogue, {}), access) == []


def _calico(version: str) -> dict[str, str | None]:
    return {f"calico-{name}": f"quay.io/calico/{name}:v{version}" for name in ("node", "cni")}


CALICO = f"cluster_mirror_url: {URL}\ncluster_network: calico\n"


def test_a_mirror_with_the_wanted_calico(check: Any) -> None:
    access, _asked = mirror(MirrorAnswer(URL, index(**_calico("3.28.5"))))
    assert check(f"{CALICO}cluster_calico_version: 3.28.5\n", mirror=access) == []


def test_a_mirror_with_another_calico(check: Any) -> None:
    access, _asked = mirror(MirrorAnswer(URL, index(**_calico("3.28.5"))))
    (finding,) = check(CALICO, mirror=access)
    assert "quay.io/calico/node:v3.32.1 and quay.io/calico/cni:v3.32.1" in finding.message
    assert finding.message.endswith("It has Calico 3.28.5: set cluster_calico_version to that.")


def test_a_mirror_without_calico(check: Any) -> None:
    access, _asked = mirror(MirrorAnswer(URL, index(**dict.fromkeys(_calico("")))))
    (finding,) = check(CALICO, mirror=access)
    assert "--component calico-node --component calico-cni` where it is served" in finding.message


def test_an_index_that_does_not_tell(check: Any) -> None:
    access, _asked = mirror(MirrorAnswer(URL, {}))
    assert check(f"cluster_mirror_url: {URL}\n", mirror=access) == []


@pytest.mark.parametrize(
    "cluster",
    [
        "",
        "cluster_mirror_url: ''\n",
        "cluster_mirror_url: not a url\n",
        "cluster_mirror_url: '{{ elsewhere }}'\n",
        f"cluster_mirror_url: {URL}\ncluster_validate_mirror: false\n",
    ],
)
def test_nothing_is_asked(cluster: str, check: Any) -> None:
    access, asked = mirror(MirrorAnswer(URL, None, "refused"))
    check(cluster, mirror=access)
    assert asked == []


def test_each_mirror_is_asked_once(check: Any) -> None:
    access, asked = mirror(MirrorAnswer(URL, {}))
    hosts = {"control_plane": {"hosts": {f"cp-{n}": {"cluster_mirror_url": URL} for n in range(3)}}}
    check("cluster_endpoint: api.example.org\n", {"hosts.yml": json.dumps(hosts)}, mirror=access)
    assert asked == [URL]


def test_an_overridden_mirror_is_not_asked(check: Any) -> None:
    access, asked = mirror(MirrorAnswer(URL, {}))
    check("cluster_mirror_url: http://old.example.org\n", extra={"cluster_mirror_url": URL}, mirror=access)
    assert asked == [URL]
