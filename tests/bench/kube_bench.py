"""Runs kube-bench, the checks of the CIS benchmark for Kubernetes, on every node of a lab and prints what it counted.

kube-bench is built from the Go module proxy, once, as the mirror builds its programs. Findings that docs/security.md
explains are told apart; the exit code is 1 where another check failed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubestead import paths
from kubestead.mirror import catalogue, golang

ROOT = Path(__file__).parents[2]
MODULE = "github.com/aquasecurity/kube-bench"
VERSION = "v0.12.0"
# The newest that this kube-bench has for clusters made by kubeadm.
BENCHMARK = "cis-1.10"
EXPLANATIONS = ROOT / "docs/security.md"
PLACE = "/opt/kube-bench"
RESULTS = ("PASS", "FAIL", "WARN", "INFO")
# The first cell of a table's row in the explanations: the number of a check.
EXPLAINED = re.compile(r"^\| (\d+(?:\.\d+)+) \|", re.MULTILINE)


@dataclass(frozen=True)
class Check:
    """What one check of the benchmark said."""

    number: str
    text: str
    result: str


def build() -> tuple[Path, Path]:
    """kube-bench itself, and the folder of its checks."""
    store = paths.cache_dir() / "kube-bench" / VERSION
    go = golang.find(catalogue.load().artefacts.toolchain, paths.cache_dir() / "mirror/tools")
    if not (store / "kube-bench").exists():
        store.mkdir(parents=True, exist_ok=True)
        recipe = {"module": MODULE, "version": VERSION, "programs": {"kube-bench": "."}}
        with tempfile.TemporaryDirectory() as work:
            golang.build(go, recipe, Path(work), store, store / "build.log")
    folder, _ = golang.source(go, MODULE, VERSION)
    return store / "kube-bench", folder / "cfg"


def containers(inventory: Path) -> Iterator[tuple[str, str]]:
    """The lab's container of each node, and which parts of the benchmark are for it. Those on policies are for the cluster."""
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(inventory), "--list"]
    listed = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    control_planes = listed["control_plane"]["hosts"]
    workers = [host for host in listed.get("workers", {}).get("hosts", []) if host not in control_planes]
    name = listed["_meta"]["hostvars"][control_planes[0]]["cluster_name"]
    for host in control_planes:
        yield f"{name}-{host}", "master,etcd,controlplane,node" + (",policies" if host == control_planes[0] else "")
    for host in workers:
        yield f"{name}-{host}", "node"


def docker(*arguments: str) -> str:
    """What docker printed; shows its complaint where it fails."""
    run = subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"`docker {' '.join(arguments)}` ended with {run.returncode}: {run.stderr.strip()}")
    return run.stdout


def checks(container: str, targets: str, program: Path, configuration: Path) -> list[Check]:
    """Runs kube-bench in the node and takes it away again."""
    docker("exec", container, "mkdir", "--parents", PLACE)
    try:
        docker("cp", str(program), f"{container}:{PLACE}/kube-bench")
        docker("cp", str(configuration), f"{container}:{PLACE}/cfg")
        said = docker(
            *("exec", "--env", "KUBECONFIG=/etc/kubernetes/admin.conf", container, f"{PLACE}/kube-bench", "run"),
            *("--config-dir", f"{PLACE}/cfg", "--config", f"{PLACE}/cfg/config.yaml", "--json"),
            *("--benchmark", BENCHMARK, "--targets", targets),
        )
    finally:
        docker("exec", container, "rm", "--recursive", "--force", PLACE)
    return list(parse(json.loads(said)))


def parse(said: dict[str, Any]) -> Iterator[Check]:
    """The single checks of what kube-bench prints as JSON."""
    for control in said["Controls"]:
        for group in control["tests"]:
            for result in group["results"]:
                yield Check(result["test_number"], result["test_desc"], result["status"])


def counts(found: Iterable[Check]) -> dict[str, int]:
    """How many checks ended with each result."""
    results = [check.result for check in found]
    return {result: results.count(result) for result in RESULTS}


def main() -> int:
    """Measures every node; 1 where a check failed that is not explained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-i", "--inventory", type=Path, default=ROOT / "inventories/lab", help="a running lab")
    parser.add_argument("--warnings", action="store_true", help="list the checks that want a human's judgement too")
    arguments = parser.parse_args()
    explained = set(EXPLAINED.findall(EXPLANATIONS.read_text())) if EXPLANATIONS.exists() else set()
    program, configuration = build()
    listed: dict[Check, list[str]] = {}
    print(f"kube-bench {VERSION}, {BENCHMARK}")
    for container, targets in containers(arguments.inventory):
        found = checks(container, targets, program, configuration)
        print(f"{container:40}", *(f"{number:4} {result}" for result, number in counts(found).items()))
        for check in found:
            if check.result == "FAIL" or (arguments.warnings and check.result == "WARN"):
                listed.setdefault(check, []).append(container)
    unexplained = [check for check in listed if check.result == "FAIL" and check.number not in explained]
    for check, places in listed.items():
        note = "explained" if check.number in explained else "NOT EXPLAINED" if check.result == "FAIL" else "by hand"
        print(f"{check.result} {check.number} {check.text} [{note}; {len(places)} nodes]")
    print(f"{len(unexplained)} failed checks without an explanation in {EXPLANATIONS.relative_to(ROOT)}")
    return bool(unexplained)


if __name__ == "__main__":
    sys.exit(main())
