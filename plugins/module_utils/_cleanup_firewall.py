# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The chains and rules of Kubernetes and its pod network taken out of the packet filter; nothing else is touched, nothing flushed."""

from __future__ import annotations

import re
import shlex
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import several
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError

if t.TYPE_CHECKING:
    from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import Machine

_CHAIN = re.compile(r"^(KUBE-|CNI-|FLANNEL-|cali-)")
_COMMENT = re.compile(r"^(flanneld\b|cali:)")
_NFT_TABLE = re.compile(r"^(kube-proxy|flannel(-ipv[46])?|calico|cni_hostport|cni_plugins_masquerade)$")
_SET = re.compile(r"^(KUBE-|cali[46]0)")
_FAMILIES = (("iptables", "ip"), ("ip6tables", "ip6"))


class Deletion(t.NamedTuple):
    """What is to go from one table: rules in chains that stay, and whole chains."""

    table: str
    rules: list[str]
    chains: list[str]

    @property
    def lines(self) -> list[str]:
        """The part of iptables-restore's input that deletes it, all of it or nothing."""
        return [
            f"*{self.table}",
            *(f"-D {rule}" for rule in self.rules),
            *(f"-F {chain}" for chain in self.chains),
            *(f"-X {chain}" for chain in self.chains),
            "COMMIT",
        ]


def deletions(saved: str) -> list[Deletion]:
    """What of Kubernetes there is in the output of iptables-save, table by table; tables without any are left out."""
    found: list[Deletion] = []
    for line in saved.splitlines():
        if line.startswith("*"):
            found.append(Deletion(line[1:].strip(), [], []))
        elif line.startswith(":") and _CHAIN.match(line[1:]):
            found[-1].chains.append(line[1:].split(" ", 1)[0])
        elif line.startswith("-A "):
            rule = line[3:].strip()
            if _is_ours(rule):
                found[-1].rules.append(rule)
    return [deletion for deletion in found if deletion.rules or deletion.chains]


def _is_ours(rule: str) -> bool:
    """Whether a rule is Kubernetes' own in somebody else's chain; rules in its own chains go with these."""
    words = shlex.split(rule)
    if _CHAIN.match(words[0]):
        return False
    following = list(zip(words, words[1:]))
    targets = [value for option, value in following if option in ("-j", "-g")]
    # Calico's mark is the first of two comments where it explains a rule.
    comments = [value for option, value in following if option == "--comment"]
    return any(map(_CHAIN.match, targets)) or any(map(_COMMENT.match, comments))


def vacant_chains(listing: t.Iterable[t.Mapping[str, t.Any]]) -> t.Optional[list[str]]:
    """Base chains of a table, as nft lists it in JSON, that are empty and accept everything; None where the table is no more than these."""
    base: list[str] = []
    busy: set[str] = set()
    more = False
    for item in listing:
        for kind, content in item.items():
            if kind == "chain" and content.get("hook") and content.get("policy", "accept") == "accept":
                base.append(content["name"])
            elif kind not in ("metainfo", "table"):
                more = True
                busy.add(str(content.get("chain", "")))
    return [name for name in base if name not in busy] if more else None


class Firewall:
    """The packet filter of one machine, in each of the forms that it may have."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def clean(self) -> None:
        """Take out what Kubernetes and its pod network put in."""
        for family, protocol in _FAMILIES:
            for tool in self._tools(family):
                self._clean_iptables(tool, protocol)
        self._clean_nftables()
        self._clean_sets()

    def _tools(self, family: str) -> list[str]:
        """Beginnings of the names of the save and restore commands in use for one family."""
        tools = []
        if self.machine.has(f"{family}-nft-save"):
            tools.append(f"{family}-nft")
        # Without this file's lines the legacy tables do not exist, and asking for them would make them.
        if self.machine.text(f"/proc/net/{family[: -len('tables')]}_tables_names").strip():
            tools.append(f"{family}-legacy" if self.machine.has(f"{family}-legacy-save") else family)
        if not tools and self.machine.has(f"{family}-save"):
            tools.append(family)
        return tools

    def _clean_iptables(self, tool: str, protocol: str) -> None:
        for deletion in deletions(self.machine.ask(f"{tool}-save")):
            self.machine.take(
                f"{several(len(deletion.chains), 'chain')} and {several(len(deletion.rules), 'rule')} of Kubernetes "
                f"in table {deletion.table} of {tool}",
                lambda deletion=deletion: self._restore(tool, deletion),  # type: ignore[misc]
            )
            if tool.endswith("-nft") and not self.machine.module.check_mode:
                self._drop_vacant(protocol, deletion)

    def _restore(self, tool: str, deletion: Deletion) -> None:
        self.machine.run(
            f"{tool}-restore",
            *("--noflush", "--wait", "30"),
            data="\n".join(deletion.lines) + "\n",
            timeout=60,
            advice=f"No rule was changed, since a table changes as a whole or not at all. See `{tool}-save -t {deletion.table}`.",
        )
        rest = [again for again in deletions(self.machine.ask(f"{tool}-save")) if again.table == deletion.table]
        if rest:
            raise KubesteadError(
                f"Something writes rules of Kubernetes into table {deletion.table} of {tool} while they are removed: "
                f"{', '.join(rest[0].chains or rest[0].rules)}. Stop it (kube-proxy, kubelet, flanneld), and run the same again."
            )

    def _drop_vacant(self, protocol: str, deletion: Deletion) -> None:
        """What iptables made only to hang Kubernetes' rules into goes too: base chains that are empty now, or the whole table."""
        if not self.machine.has("nft"):
            return
        vacant = vacant_chains(self._nft("list", "table", protocol, deletion.table))
        if vacant is None:
            self.machine.run("nft", "delete", "table", protocol, deletion.table)
            return
        for chain in sorted({rule.split(" ", 1)[0] for rule in deletion.rules} & set(vacant)):
            self.machine.run("nft", "delete", "chain", protocol, deletion.table, chain)

    def _nft(self, *args: str) -> list[dict[str, t.Any]]:
        documents = self.machine.ask_json("nft", "--json", *args)
        return [item for document in documents for item in document.get("nftables", [])]

    def _clean_nftables(self) -> None:
        tables = [item["table"] for item in self._nft("list", "tables") if "table" in item]
        for table in tables:
            if _NFT_TABLE.match(table["name"]):
                self.machine.take(
                    f"nftables table {table['family']} {table['name']}",
                    lambda table=table: self.machine.run("nft", "delete", "table", table["family"], table["name"]),  # type: ignore[misc]
                )

    def _clean_sets(self) -> None:
        sets = [name for name in self.machine.ask("ipset", "list", "-name").split() if _SET.match(name)]
        if sets:
            self.machine.take(f"{several(len(sets), 'address set')} of Kubernetes", lambda: self._destroy(sets))

    def _destroy(self, sets: t.Sequence[str]) -> None:
        # A set of sets holds its members, so that they go only after it.
        held = [name for name in sets if self.machine.run("ipset", "destroy", name, check=False).rc != 0]
        for name in held:
            self.machine.run("ipset", "destroy", name)
