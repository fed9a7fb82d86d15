from __future__ import annotations

import subprocess
import sys

import pytest

KERNEL = """
import sys
from types import SimpleNamespace
from ansible_collections.kubestead.cluster.plugins.module_utils import _cleanup_counters as counters
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import Machine

try:
    for name in (*counters.NAMES, "mine"):
        counters.ask_kernel(counters.NEW, name)
except OSError as error:
    sys.exit(f"skip: {error}")

def removed(check_mode):
    machine = Machine(SimpleNamespace(check_mode=check_mode))
    counters.remove_counters(machine)
    return machine.removed

expected = [f"packet counter {name}" for name in counters.NAMES]
assert removed(check_mode=True) == expected
assert removed(check_mode=False) == expected
assert removed(check_mode=False) == []
counters.ask_kernel(counters.GET, "mine")
"""


def test_kube_proxys_counters_go_and_others_stay() -> None:
    done = subprocess.run(
        ["unshare", "--map-root-user", "--net", sys.executable, "-c", KERNEL],
        capture_output=True,
        text=True,
        check=False,
    )
    if "skip" in done.stderr or done.stderr.startswith("unshare:"):
        pytest.skip("needs counters in the kernel, and a network namespace of its own")
    assert done.returncode == 0, done.stderr
