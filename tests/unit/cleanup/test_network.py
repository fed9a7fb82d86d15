from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import Machine
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup_network import (
    Network,
    pod_links,
    pod_routes,
    virtual_servers,
)

IPVS = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  0A600001:01BB rr
  -> AC1D600B:192B      Masq    1      0          0
UDP  0A60000A:0035 rr
TCP  C0000201:0050 wlc
TCP  [2001:0db8:0000:0000:0000:0000:0000:0001]:01BB rr
"""


def link(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"ifname": name, "linkinfo": {"info_kind": kind}, **more}


def test_a_nodes_pod_links_are_found_and_its_own_are_not(recorded: Callable[[str], str]) -> None:
    names = pod_links(json.loads(recorded("links.json")))
    assert {"flannel.1", "cni0"} <= set(names)
    assert all(name.startswith("veth") for name in set(names) - {"flannel.1", "cni0"})
    assert not {"lo", "eth0"} & set(names)


def test_a_name_alone_makes_no_pod_link() -> None:
    own = [
        link("cali1", "veth"),
        link("cni0", "dummy"),
        link("flannel.1", "vlan"),
        link("veth0a1b2c3", "veth"),
        link("vethdocker", "veth", master="docker0"),
        {"ifname": "kube-ipvs0"},
    ]
    assert pod_links(own) == []


def test_links_on_the_pods_bridge_go_before_it() -> None:
    links = [link("cni0", "bridge"), link("vetha", "veth", master="cni0"), link("cali0123456789a", "veth")]
    assert pod_links(links) == ["vetha", "cni0", "cali0123456789a"]


def test_routes_go_with_their_links(recorded: Callable[[str], str]) -> None:
    routes = json.loads(recorded("routes.json"))
    assert pod_routes(routes, ["10.244.0.0/16"], {"flannel.1", "cni0"}) == []


def test_routes_over_the_nodes_own_network_are_removed() -> None:
    routes = [
        {"dst": "default", "gateway": "172.29.96.1", "dev": "eth0"},
        {"dst": "10.244.2.0/24", "gateway": "172.29.96.22", "dev": "eth0"},
        {"dst": "10.244.3.0/24", "dev": "own", "protocol": "kernel"},
        {"dst": "10.245.0.0/24", "gateway": "172.29.96.9", "dev": "eth0"},
        {"dst": "10.0.0.0/8", "gateway": "172.29.96.9", "dev": "eth0"},
        {"dst": "fd00:1::/64", "dev": "eth0"},
    ]
    assert pod_routes(routes, ["10.244.0.0/16"], set()) == ["10.244.2.0/24"]
    assert pod_routes(routes, ["10.244.0.0/16", "fd00::/16"], set()) == ["10.244.2.0/24", "fd00:1::/64"]


def test_virtual_servers_are_those_on_kube_proxys_addresses() -> None:
    addresses = {"10.96.0.1", "10.96.0.10", "2001:db8::1"}
    assert virtual_servers(IPVS, addresses) == [
        ("tcp", "10.96.0.1:443"),
        ("udp", "10.96.0.10:53"),
        ("tcp", "[2001:db8::1]:443"),
    ]


def test_virtual_servers_are_named_where_no_tool_can_remove_them(
    machine: Callable[..., Machine], write: Callable[[str, str], Path]
) -> None:
    write("/proc/net/ip_vs", IPVS)
    here = machine(
        {
            "ip -json -details link show": json.dumps([link("kube-ipvs0", "dummy")]),
            "ip -json address show dev kube-ipvs0": json.dumps([{"addr_info": [{"local": "10.96.0.1"}]}]),
            "ip -json -4 route show": "",
            "ip -json -6 route show": "",
            "ip link": "",
        }
    )
    Network(here, ["10.244.0.0/16"]).clean()
    assert here.removed == ["link kube-ipvs0"]
    assert here.left[0].startswith("1 IPVS virtual server of kube-proxy")


def test_the_kernels_own_tunnel_loses_the_pods_address(machine: Callable[..., Machine]) -> None:
    addresses = [{"local": "10.244.7.64", "prefixlen": 32}, {"local": "192.0.2.9", "prefixlen": 24}]
    here = machine(
        {
            "ip -json -details link show": json.dumps([link("tunl0", "ipip")]),
            "ip -json address show dev tunl0": json.dumps([{"addr_info": addresses}]),
            "ip -json": "[]",
            "ip address delete": "",
            "ip link set tunl0 down": "",
        }
    )
    Network(here, ["10.244.0.0/16"]).clean()
    assert here.removed == ["addresses of tunl0"]
    fake: Any = here.module
    assert [line for line in fake.commands if "delete" in line] == ["ip address delete 10.244.7.64/32 dev tunl0"]


def test_a_tunnel_of_ones_own_stays(machine: Callable[..., Machine]) -> None:
    addresses = [{"local": "192.0.2.9", "prefixlen": 24}]
    here = machine(
        {
            "ip -json -details link show": json.dumps([link("tunl0", "ipip")]),
            "ip -json address show dev tunl0": json.dumps([{"addr_info": addresses}]),
            "ip -json": "[]",
        }
    )
    Network(here, ["10.244.0.0/16"]).clean()
    assert here.removed == []


def test_namespaces_of_pods_go_and_others_stay(
    machine: Callable[..., Machine], write: Callable[[str, str], Path]
) -> None:
    for name in ("cni-27434b05-7219-d147-ec76-a67def274126", "vpn"):
        write(f"/run/netns/{name}", "")
    here = machine({"ip -json -details link show": "[]", "ip -json": "[]", "ip netns delete": ""})
    Network(here, []).clean()
    fake: Any = here.module
    assert [line for line in fake.commands if "netns" in line] == [
        "ip netns delete cni-27434b05-7219-d147-ec76-a67def274126"
    ]


def test_a_link_that_went_by_itself_is_no_error(machine: Callable[..., Machine]) -> None:
    here = machine(
        {
            "ip -json -details link show": json.dumps([link("veth1", "veth", master="cni0")]),
            "ip -json": "[]",
            "ip link show veth1": (1, "", 'Device "veth1" does not exist.'),
        }
    )
    Network(here, []).clean()
    assert here.removed == ["link veth1"]
