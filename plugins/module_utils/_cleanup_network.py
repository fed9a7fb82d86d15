# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Links, routes, network namespaces and virtual servers of a pod network, and which of them are one's own to remove."""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import several

if t.TYPE_CHECKING:
    from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import Machine

Link = t.Mapping[str, t.Any]

# A link must have both the name and the kind: somebody may well call an own interface cali1.
_LINKS = (
    ("bridge", re.compile(r"^cni0$")),
    ("vxlan", re.compile(r"^(flannel(-v6)?\.\d+|vxlan(-v6)?\.calico)$")),
    ("veth", re.compile(r"^cali[0-9a-f]{11}$")),
    ("dummy", re.compile(r"^(kube-ipvs0|nodelocaldns)$")),
)
_POD_BRIDGE = "cni0"
_IPVS = "kube-ipvs0"
# The kernel's own, which nobody can delete. Calico gives it an address of the pods'.
_IPIP = "tunl0"
_IPVS_LINE = re.compile(r"^(TCP|UDP|SCTP)\s+([0-9A-F]{8}|\[[0-9a-f:]+\]):([0-9A-F]{4})\s")


def pod_links(links: t.Iterable[Link]) -> list[str]:
    """Names of the links, as `ip -json -details link` lists them, that a pod network made; those on its bridge come first."""
    own: list[str] = []
    for link in links:
        kind = link.get("linkinfo", {}).get("info_kind", "")
        if kind == "veth" and link.get("master") == _POD_BRIDGE:
            own.insert(0, str(link["ifname"]))
        elif any(kind == wanted and name.match(link["ifname"]) for wanted, name in _LINKS):
            own.append(str(link["ifname"]))
    return own


def pod_routes(
    routes: t.Iterable[t.Mapping[str, t.Any]], pod_cidrs: t.Sequence[str], gone: t.Container[str]
) -> list[str]:
    """Destinations of routes to the pods of other nodes, but for those that go with their links."""
    networks = [ipaddress.ip_network(cidr) for cidr in pod_cidrs]
    found = []
    for route in routes:
        if route.get("protocol") == "kernel" or route.get("dev") in gone:
            continue
        try:
            destination = ipaddress.ip_network(route["dst"])
        except ValueError:
            continue
        if any(_within(destination, network) for network in networks):
            found.append(str(route["dst"]))
    return found


def _within(inner: t.Any, outer: t.Any) -> bool:
    return bool(inner.version == outer.version and inner.subnet_of(outer))


def virtual_servers(table: str, addresses: t.Container[str]) -> list[tuple[str, str]]:
    """Protocol and address with port of those servers in the kernel's table of virtual servers that listen on these addresses."""
    found = []
    for line in table.splitlines():
        match = _IPVS_LINE.match(line)
        if not match:
            continue
        protocol, address, port = match.group(1).lower(), match.group(2), int(match.group(3), 16)
        if address.startswith("["):
            plain: t.Any = ipaddress.ip_address(address[1:-1])
        else:
            plain = ipaddress.ip_address(int(address, 16))
        if str(plain) in addresses:
            found.append((protocol, f"[{plain}]:{port}" if plain.version == 6 else f"{plain}:{port}"))
    return found


class Network:
    """The pod network's traces on one machine."""

    def __init__(self, machine: Machine, pod_cidrs: t.Sequence[str]) -> None:
        self.machine = machine
        self.pod_cidrs = pod_cidrs

    def clean(self) -> None:
        """Take off namespaces, virtual servers, links and routes."""
        for path in self.machine.glob("/run/netns/cni-*"):
            name = path.rsplit("/", 1)[-1]
            self.machine.take(
                f"network namespace {name}",
                lambda name=name: self.machine.run("ip", "netns", "delete", name),  # type: ignore[misc]
            )
        self.machine.take_empty("/run/netns")
        listed = self._ip("-details", "link", "show")
        links = pod_links(listed)
        if _IPVS in links:
            self._clean_virtual_servers()
        for link in links:
            self.machine.take(f"link {link}", lambda link=link: self._delete(link))  # type: ignore[misc]
        self._clean_ipip(listed)
        for family in ("-4", "-6"):
            for destination in pod_routes(self._ip(family, "route", "show"), self.pod_cidrs, links):
                self.machine.take(
                    f"route to {destination}",
                    lambda family=family, destination=destination: self.machine.run(  # type: ignore[misc]
                        "ip", family, "route", "delete", destination
                    ),
                )

    def _ip(self, *args: str) -> list[dict[str, t.Any]]:
        return [item for document in self.machine.ask_json("ip", "-json", *args) for item in document if item]

    def _delete(self, link: str) -> None:
        # A veth goes by itself when the namespace of its peer does, perhaps between our look and now.
        if self.machine.run("ip", "link", "show", link, check=False).rc == 0:
            outcome = self.machine.run("ip", "link", "delete", link, check=False)
            if outcome.rc != 0 and self.machine.run("ip", "link", "show", link, check=False).rc == 0:
                raise outcome.error("See what holds it with `ip -details link`.")

    def _clean_ipip(self, links: t.Iterable[Link]) -> None:
        networks = [ipaddress.ip_network(cidr) for cidr in self.pod_cidrs]
        own = [link for link in links if (link["ifname"], link.get("linkinfo", {}).get("info_kind")) == (_IPIP, "ipip")]
        addresses = [
            f"{address['local']}/{address['prefixlen']}"
            for link in (self._ip("address", "show", "dev", _IPIP) if own else [])
            for address in link.get("addr_info", [])
            if any(_within(ipaddress.ip_network(address["local"]), network) for network in networks)
        ]
        if addresses:
            self.machine.take(f"addresses of {_IPIP}", lambda: self._empty_ipip(addresses))

    def _empty_ipip(self, addresses: t.Iterable[str]) -> None:
        for address in addresses:
            self.machine.run("ip", "address", "delete", address, "dev", _IPIP)
        self.machine.run("ip", "link", "set", _IPIP, "down")

    def _clean_virtual_servers(self) -> None:
        addresses = {
            str(address["local"])
            for link in self._ip("address", "show", "dev", _IPVS)
            for address in link.get("addr_info", [])
        }
        servers = virtual_servers(self.machine.text("/proc/net/ip_vs"), addresses)
        if not servers:
            return
        if not self.machine.has("ipvsadm"):
            self.machine.leave(
                f"{several(len(servers), 'IPVS virtual server')} of kube-proxy, until the next boot: "
                "ipvsadm, which could remove them, is not installed"
            )
            return
        self.machine.take(several(len(servers), "IPVS virtual server"), lambda: self._delete_servers(servers))

    def _delete_servers(self, servers: t.Iterable[tuple[str, str]]) -> None:
        for protocol, address in servers:
            self.machine.run("ipvsadm", "--delete-service", f"--{protocol}-service", address)
