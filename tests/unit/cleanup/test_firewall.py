"""What goes from the packet filter, and above all what stays, told from the output of real nodes and tried on a real kernel."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import Machine
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup_firewall import (
    Firewall,
    deletions,
    vacant_chains,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError

OWN = """\
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:KUBERNETES-ADMINS - [0:0]
:own - [0:0]
-A INPUT -p tcp -m tcp --dport 22 -m comment --comment "leads to KUBE-SERVICES they say" -j ACCEPT
-A INPUT -s 192.0.2.0/24 -j own
-A FORWARD -m comment --comment "not flanneld at all" -j own
-A own -p tcp -m tcp --dport 6443 -m comment --comment "kubernetes" -j KUBERNETES-ADMINS
COMMIT
"""


def test_rules_of_ones_own_are_never_chosen() -> None:
    assert deletions(OWN) == []


def test_a_nodes_rules_are_all_chosen_and_dockers_none(recorded: Callable[[str], str]) -> None:
    found = {deletion.table: deletion for deletion in deletions(recorded("iptables-nft-save.txt"))}
    assert set(found) == {"mangle", "filter", "nat"}
    assert found["mangle"].rules == []
    assert "FLANNEL-FWD" in found["filter"].chains
    assert 'FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD' in found["filter"].rules
    assert {"KUBE-SERVICES", "KUBE-MARK-MASQ", "FLANNEL-POSTRTG"} <= set(found["nat"].chains)
    text = "\n".join(line for deletion in found.values() for line in deletion.lines)
    assert "DOCKER" not in text
    assert "-D KUBE" not in text


def test_rules_without_a_chain_of_their_own_are_known_by_their_comment() -> None:
    saved = """\
*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 10.244.0.0/16 -m comment --comment "flanneld masq" -j MASQUERADE
-A POSTROUTING -m comment --comment "cali:O3lYWMrLQYEMJtB5" -j MASQUERADE
-A POSTROUTING -m comment --comment "cali:S93hcgKJrXEqnTfs" -m comment --comment "Policy explicitly accepted packet." -j ACCEPT
-A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE
-A POSTROUTING -p tcp -g KUBE-MARK-MASQ
COMMIT
"""
    targets = ["MASQUERADE", "MASQUERADE", "ACCEPT", "KUBE-MARK-MASQ"]
    assert [rule.split()[-1] for rule in deletions(saved)[0].rules] == targets


def test_rules_go_before_the_chains_that_they_lead_to(recorded: Callable[[str], str]) -> None:
    for deletion in deletions(recorded("iptables-nft-save.txt")):
        orders = [line.split()[0] for line in deletion.lines]
        assert (orders[0][0], orders[-1]) == ("*", "COMMIT")
        assert "".join(order[1] for order in orders[1:-1]).lstrip("D").lstrip("F").lstrip("X") == ""


def test_base_chains_are_vacant_only_when_empty_and_accepting() -> None:
    def chain(name: str, **more: str) -> dict[str, Any]:
        return {"chain": {"name": name, "table": "nat", **more}}

    table = {"table": {"family": "ip", "name": "nat"}}
    base = chain("OUTPUT", hook="output", policy="accept")
    assert vacant_chains([table, base]) is None
    assert vacant_chains([table, base, chain("own")]) == ["OUTPUT"]
    assert vacant_chains([table, chain("INPUT", hook="input", policy="drop")]) == []
    assert vacant_chains([table, base, {"rule": {"chain": "OUTPUT"}}]) == []


def test_a_table_that_still_holds_somebodys_chain_is_kept(recorded: Callable[[str], str]) -> None:
    listing = json.loads(recorded("nft-nat6.json"))["nftables"]
    assert vacant_chains(listing) == []


def test_only_the_pod_networks_own_nftables_tables_go(
    machine: Callable[..., Machine], recorded: Callable[[str], str]
) -> None:
    tables = json.loads(recorded("nft-tables.json"))
    tables["nftables"] += [
        {"table": {"family": "ip", "name": "kube-proxy"}},
        {"table": {"family": "ip6", "name": "flannel-ipv6"}},
        {"table": {"family": "inet", "name": "firewalld"}},
        {"table": {"family": "inet", "name": "kube-proxy-of-mine"}},
    ]
    here = machine({"nft --json list tables": json.dumps(tables), "nft delete table": ""})
    Firewall(here).clean()
    assert here.removed == ["nftables table ip kube-proxy", "nftables table ip6 flannel-ipv6"]


def test_each_table_is_changed_by_one_restore_without_a_flush(
    machine: Callable[..., Machine], recorded: Callable[[str], str]
) -> None:
    here = machine({"iptables-nft-save": recorded("iptables-nft-save.txt"), "iptables-nft-restore": ""})
    with pytest.raises(KubesteadError, match="while they are removed"):
        # What was recorded does not change by being restored, which the cleanup must notice.
        Firewall(here).clean()
    fake: Any = here.module
    assert list(fake.inputs) == ["iptables-nft-restore --noflush --wait 30"]
    assert fake.inputs["iptables-nft-restore --noflush --wait 30"].count("COMMIT") == 1


def test_check_mode_tells_and_touches_nothing(machine: Callable[..., Machine], recorded: Callable[[str], str]) -> None:
    here = machine(
        {
            "iptables-nft-save": recorded("iptables-nft-save.txt"),
            "ip6tables-nft-save": recorded("ip6tables-nft-save.txt"),
            "ipset list -name": "KUBE-CLUSTER-IP\nown\ncali40all-ipam-pools\n",
            "nft --json list tables": recorded("nft-tables.json"),
        },
        check_mode=True,
    )
    Firewall(here).clean()
    fake: Any = here.module
    assert not [line for line in fake.commands if "restore" in line or "delete" in line or "destroy" in line]
    assert len(here.removed) == 7
    assert here.removed[-1] == "2 address sets of Kubernetes"


def test_legacy_tables_are_asked_only_where_there_are_some(
    machine: Callable[..., Machine], write: Callable[[str, str], Path]
) -> None:
    answers = {"iptables-nft-save": "", "iptables-legacy-save": "", "iptables-save": ""}
    here = machine(answers)
    Firewall(here).clean()
    fake: Any = here.module
    assert fake.commands == ["iptables-nft-save"]
    write("/proc/net/ip_tables_names", "filter\n")
    here = machine(answers)
    Firewall(here).clean()
    fake = here.module
    assert fake.commands == ["iptables-nft-save", "iptables-legacy-save"]


KERNEL = """
import subprocess, sys
from types import SimpleNamespace
from shutil import which
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import Machine
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup_firewall import Firewall

def run_command(args, data=None, **_):
    done = subprocess.run(args, input=data, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr

def rules():
    saved = subprocess.run(["iptables-nft-save"], capture_output=True, text=True, check=True).stdout
    # Empty tables say nothing; without nft they stay.
    return [line for line in saved.splitlines() if line.startswith(("-A", ":own", ":KUBERNETES")) or "DROP" in line]

def restore(text, *flags):
    subprocess.run(["iptables-nft-restore", *flags], input=text, text=True, check=True)

own, node = sys.argv[1:]
restore(own)
before = rules()
restore(node, "--noflush")
assert rules() != before
module = SimpleNamespace(check_mode=False, run_command=run_command, get_bin_path=lambda name, **_: which(name))
machine = Machine(module)
Firewall(machine).clean()
assert machine.removed, "nothing was found"
assert rules() == before, (before, rules())
again = Machine(module)
Firewall(again).clean()
assert again.removed == [], again.removed
"""


def test_on_a_real_kernel_ones_own_rules_are_as_before(recorded: Callable[[str], str]) -> None:
    namespace = ["unshare", "--map-root-user", "--net"]
    if (
        not shutil.which("iptables-nft-restore")
        or subprocess.run([*namespace, "iptables-nft-save"], check=False).returncode
    ):
        pytest.skip("needs iptables and a network namespace of its own")
    # Docker's rules are not ours to add, kube-proxy's counters exist on its node only, and a policy that is named would be set.
    foreign = ("DOCKER", "nfacct", ":INPUT ACCEPT")
    lines = recorded("iptables-nft-save.txt").splitlines()
    node = "\n".join(line for line in lines if not any(word in line for word in foreign)) + "\n"
    done = subprocess.run(
        [*namespace, sys.executable, "-c", KERNEL, OWN, node], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
