# Copyright: Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE)
"""Which host plays which part, decided from the inventory and from what the nodes told of themselves."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any


class TopologyError(ValueError):
    """The hosts as they are found do not make one cluster."""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def kubernetes_state(variables: Mapping[str, Any]) -> Mapping[str, Any]:
    """What node_state said of Kubernetes on a host; empty where it has not looked yet."""
    state: Mapping[str, Any] = variables.get("ansible_facts", {}).get("kubestead", {}).get("kubernetes", {})
    return state


def node_address(host: str, variables: Mapping[str, Any]) -> str:
    """The address a node is known by: its own variable, the connection's, what it told, or its name."""
    connection = str(variables.get("ansible_host") or host)
    told = str(variables.get("ansible_facts", {}).get("kubestead", {}).get("default_address") or "")
    chosen = str(variables.get("cluster_node_address") or "")
    if chosen:
        return chosen
    return connection if _is_address(connection) or not told else told


def bootstrap_host(control_planes: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> str:
    """The control plane to ask, or to begin with.

    A healthy member comes first, then any member, of several the first by name, then one whose own init was
    interrupted, then the first of the list. Position decides only where nothing runs yet.

    Raises TopologyError where two certificate authorities are found: they are two clusters.
    """
    hosts = list(control_planes)
    states = {host: kubernetes_state(hostvars[host]) for host in hosts}
    authorities = {host: state["ca_hash"] for host, state in states.items() if state.get("ca_hash")}
    if len(set(authorities.values())) > 1:
        found = ", ".join(f"{host} has {digest}" for host, digest in sorted(authorities.items()))
        raise TopologyError(
            f"The control planes belong to different clusters: {found}. "
            "Take those that do not belong out of the inventory, or reset them."
        )

    def rank(host: str) -> tuple[int, str]:
        state = states[host]
        if state.get("stage") == "member":
            return (0 if state.get("api_healthy") else 1), host
        return (2 if state.get("interrupted") == "init" else 3), ""

    return min(hosts, key=rank)
