"""What inventories lead to: the files that nodes would get, compared with those that a person has read.

`UPDATE_EXPECTED=1 pytest tests/unit/roles` writes the expected files anew; read the difference before you commit it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
# Name, inventory below the root, the kind of machine found.
CASES = [
    ("lab", "inventories/lab", "container"),
    ("proxy-and-pass-through", "tests/unit/roles/inventories/proxy-and-pass-through", "machine"),
    ("prod", "inventories/prod", "machine"),
    ("load-balancers-on-control-planes", "tests/integration/inventory-together", "container"),
    ("aliyun-images", "tests/unit/roles/inventories/aliyun-images", "machine"),
    ("external-etcd", "tests/unit/roles/inventories/external-etcd", "machine"),
    ("raspberry-pi", "inventories/raspberry-pi", "raspberry-pi"),
    ("aws", "inventories/aws", "machine"),
    ("digitalocean", "inventories/digitalocean", "machine"),
    ("aliyun", "inventories/aliyun", "machine"),
    ("china", "inventories/china", "machine"),
    ("air-gapped", "inventories/air-gapped", "machine"),
    ("single-node", "inventories/single-node", "machine"),
    ("docker", "tests/unit/roles/inventories/docker", "machine"),
    ("calico", "tests/unit/roles/inventories/calico", "machine"),
    ("calico-bgp", "tests/unit/roles/inventories/calico-bgp", "machine"),
]


def render(output: Path, inventory: str, state: str, *options: str) -> None:
    """Write the files of the first host of each group below a folder."""
    groups = yaml.safe_load((ROOT / inventory / "hosts.yml").read_text())["all"]["children"]
    for hosts in filter(None, (group.get("hosts") for group in groups.values())):
        (output / next(iter(hosts))).mkdir()
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        str(HERE / "render.yml"),
        *("-i", str(ROOT / inventory), "-e", f"output={output}", "-e", f"state={state}", *options),
        *(f"-e@{path}" for path in (ROOT / inventory).glob("roles.yml")),
    ]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(("name", "inventory", "state"), CASES, ids=[case[0] for case in CASES])
def test_files_are_as_expected_and_what_their_readers_parse(
    name: str, inventory: str, state: str, tmp_path: Path
) -> None:
    render(tmp_path, inventory, state)
    expected = HERE / "expected" / name
    if os.environ.get("UPDATE_EXPECTED"):
        shutil.rmtree(expected, ignore_errors=True)
        shutil.copytree(tmp_path, expected)
    files = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {path.relative_to(expected) for path in expected.rglob("*") if path.is_file()}
    for file in sorted(files):
        text = (tmp_path / file).read_text()
        assert text == (expected / file).read_text(), f"{name}: {file} differs"
        if file.suffix == ".toml":
            assert tomllib.loads(text)
        if file.suffix in (".yaml", ".yml"):
            assert all(yaml.safe_load_all(text))


def test_a_host_that_leaves_is_named_nowhere(tmp_path: Path) -> None:
    """The group is the one that playbooks/remove.yml makes."""
    leaving = tmp_path / "leaving.yml"
    leaving.write_text("kubestead_leaving: {hosts: {control-plane-2: {}, load-balancer-2: {}}}\n")
    output = tmp_path / "output"
    output.mkdir()
    render(output, "inventories/prod", "machine", "-i", str(leaving))
    known = (HERE / "expected/prod/load-balancer-1/haproxy.cfg").read_text()
    assert "server control-plane-2" in known
    lines = [line for line in known.splitlines() if "control-plane-2" not in line]
    assert (output / "load-balancer-1/haproxy.cfg").read_text().splitlines() == lines
    assert "unicast_peer" not in (output / "load-balancer-1/keepalived.conf").read_text()
    assert "control-plane-2" not in (output / "worker-1/hosts").read_text()
    assert "control-plane-3" in (output / "worker-1/hosts").read_text()
