"""The ways into a cluster, with a program in kubectl's place that notes what it is told."""

from __future__ import annotations

import http.server
import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils._smoke_cluster import Cluster, fetch

KUBECTL = """#!/usr/bin/env python3
import http.server, json, os, sys

arguments = sys.argv[1:]
noted = {"arguments": arguments, "pid": os.getpid(), "input": "" if sys.stdin.isatty() else sys.stdin.read()}
with open(os.environ["NOTES"], "a") as notes:
    notes.write(json.dumps(noted) + "\\n")
if "port-forward" in arguments:
    if "pod/broken" in arguments:
        sys.exit("error: error upgrading connection")

    class Pod(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"the pod")

    http.server.HTTPServer(("127.0.0.1", int(arguments[-1].partition(":")[0])), Pod).serve_forever()
if "exec" in arguments:
    sys.exit("DNS: no such host")
"""


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    return tmp_path / "notes"


@pytest.fixture
def cluster(notes: Path) -> Cluster:
    with patch_module_args({}):
        module = AnsibleModule(argument_spec={})
    return Cluster(Kubectl(module, "/somewhere/admin.conf"), "kubestead-smoke")


def _noted(notes: Path) -> dict[str, Any]:
    noted: dict[str, Any] = json.loads(notes.read_text().splitlines()[-1])
    return noted


def test_a_forward_brings_the_pods_answer_and_ends_with_it(cluster: Cluster, notes: Path) -> None:
    forward = cluster.forward("agents-a")
    forward.open()
    try:
        assert fetch(f"{forward.url}/hostname", 5) == "the pod"
    finally:
        forward.close()
    assert "--address=127.0.0.1" in _noted(notes)["arguments"]
    with pytest.raises(ProcessLookupError):
        os.kill(_noted(notes)["pid"], 0)


def test_a_forward_that_fails_says_what_kubectl_said(cluster: Cluster) -> None:
    forward = cluster.forward("broken")
    with pytest.raises(KubesteadError, match="error upgrading connection"):
        forward.open()
    forward.close()


def test_a_forward_that_was_never_opened_closes(cluster: Cluster) -> None:
    cluster.forward("agents-a").close()


def test_the_pods_command_comes_last_and_its_failure_is_an_answer(cluster: Cluster, notes: Path) -> None:
    outcome = cluster.execute("agents-a", "/agnhost", "connect", "kubernetes.default:443")
    assert (outcome.rc, outcome.stderr) == (1, "DNS: no such host\n")
    before, after = " ".join(_noted(notes)["arguments"]).split(" -- ")
    assert after == "/agnhost connect kubernetes.default:443"
    assert "--kubeconfig /somewhere/admin.conf" in before
    assert "--namespace kubestead-smoke" in before


def test_objects_are_given_on_standard_input(cluster: Cluster, notes: Path) -> None:
    cluster.create([{"kind": "Namespace"}])
    assert json.loads(_noted(notes)["input"])["items"] == [{"kind": "Namespace"}]


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(400 if self.path == "/bad" else 200)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("path", ["/good", "/bad"])
def test_the_body_counts_whatever_the_status(address: str, path: str) -> None:
    assert fetch(f"{address}{path}", 5) == path


def test_proxies_of_the_environment_are_passed_over(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert fetch(f"{address}/good", 5) == "/good"


def test_a_closed_port_is_an_error_of_the_network(address: str) -> None:
    with pytest.raises(OSError, match="refused"):
        fetch("http://127.0.0.1:9", 5)
