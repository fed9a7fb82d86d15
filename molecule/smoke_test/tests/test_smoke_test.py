from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from testinfra.host import Host


def test_nothing_is_left(kubectl: Callable[[str], Any], host: Host) -> None:
    names = {namespace["metadata"]["name"] for namespace in kubectl("get namespaces")["items"]}
    assert "kubestead-smoke" not in names
    assert host.process.filter(comm="kubectl") == []


def test_no_container_of_it_is_left(host: Host) -> None:
    pods = json.loads(host.check_output("crictl pods --namespace kubestead-smoke --state ready --output json"))
    assert pods["items"] == []
