# Copyright: Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE)
"""Every mistake of an inventory in one list: a model of it that needs no Ansible, and the rules it is held to."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
import typing as t
from collections import Counter

from ansible_collections.kubestead.cluster.plugins.module_utils._validation_values import (
    ETCD_FILES,
    NODE_NAME,
    PORTS_IN_USE,
    Supported,
    calico_minor,
    coerce,
    did_you_mean,
    is_address,
    is_dns_name,
    parse_cidr,
    parse_range,
    problems,
    redacted,
    shown,
    split_endpoint,
    suggestion,
    type_problem,
)

CONTROL_PLANE = "control_plane"
WORKERS = "workers"
LOAD_BALANCERS = "load_balancers"
GROUP_ALIASES = {
    CONTROL_PLANE: (
        "control_plane",
        "control_planes",
        "controlplane",
        "controlplanes",
        "master",
        "masters",
        "kube_control_plane",
        "kube_master",
        "kube_masters",
        "k8s_master",
        "k8s_masters",
    ),
    WORKERS: (
        "worker",
        "workers",
        "node",
        "nodes",
        "kube_node",
        "kube_nodes",
        "kube_worker",
        "kube_workers",
        "k8s_worker",
        "k8s_workers",
        "k8s_node",
        "k8s_nodes",
        "minion",
        "minions",
    ),
    LOAD_BALANCERS: (
        "load_balancer",
        "load_balancers",
        "loadbalancer",
        "loadbalancers",
        "balancer",
        "balancers",
        "lb",
        "lbs",
        "haproxy",
        "haproxies",
        "keepalived",
        "kube_lb",
        "kube_lbs",
        "k8s_lb",
        "k8s_lbs",
    ),
}
VARIABLE_ALIASES = {
    "cluster_version": "cluster_kubernetes_version",
    "cluster_k8s_version": "cluster_kubernetes_version",
    "cluster_kube_version": "cluster_kubernetes_version",
    "cluster_pod_network": "cluster_pod_cidr",
    "cluster_pod_network_cidr": "cluster_pod_cidr",
    "cluster_pod_subnet": "cluster_pod_cidr",
    "cluster_pods_cidr": "cluster_pod_cidr",
    "cluster_service_subnet": "cluster_service_cidr",
    "cluster_services_cidr": "cluster_service_cidr",
    "cluster_runtime": "cluster_container_runtime",
    "cluster_container_engine": "cluster_container_runtime",
    "cluster_cri": "cluster_container_runtime",
    "cluster_docker": "cluster_docker_config",
    "cluster_docker_daemon": "cluster_docker_config",
    "cluster_cni": "cluster_network",
    "cluster_network_plugin": "cluster_network",
    "cluster_network_policy": "cluster_network",
    "cluster_network_policies": "cluster_network",
    "cluster_calico": "cluster_network",
    "cluster_flannel": "cluster_network",
    "cluster_calico_cidr": "cluster_pod_cidr",
    "cluster_calico_pod_cidr": "cluster_pod_cidr",
    "cluster_calico_ip_pool": "cluster_pod_cidr",
    "cluster_calico_ipv4pool_cidr": "cluster_pod_cidr",
    "cluster_calico_backend": "cluster_calico_encapsulation",
    "cluster_control_plane_endpoint": "cluster_endpoint",
    "cluster_domain": "cluster_dns_domain",
    "cluster_registry": "cluster_image_repository",
    "cluster_image_registry": "cluster_image_repository",
    "cluster_mirror": "cluster_mirror_url",
    "cluster_labels": "cluster_node_labels",
    "cluster_taints": "cluster_node_taints",
    "cluster_cert_sans": "cluster_extra_sans",
    "cluster_vip": "cluster_virtual_ip",
    "cluster_api_vip": "cluster_virtual_ip",
    "cluster_kube_vip": "cluster_virtual_ip",
    "cluster_virtual_address": "cluster_virtual_ip",
    "cluster_virtual_ip_address": "cluster_virtual_ip",
    "cluster_keepalived_vip": "cluster_virtual_ip",
    "cluster_vip_interface": "cluster_virtual_ip_interface",
    "cluster_keepalived_interface": "cluster_virtual_ip_interface",
    "cluster_vrid": "cluster_virtual_router_id",
    "cluster_router_id": "cluster_virtual_router_id",
    "cluster_keepalived_router_id": "cluster_virtual_router_id",
    "cluster_lb_port": "cluster_load_balancer_port",
    "cluster_haproxy_port": "cluster_load_balancer_port",
    "cluster_haproxy": "cluster_haproxy_config",
    "cluster_lb_config": "cluster_haproxy_config",
    "cluster_secrets_encryption": "cluster_encrypt_secrets",
    "cluster_encrypt_secret_data": "cluster_encrypt_secrets",
    "cluster_audit": "cluster_audit_rules",
    "cluster_audit_policy": "cluster_audit_rules",
    "cluster_pod_security_standard": "cluster_pod_security",
    "cluster_etcd": "cluster_external_etcd",
    "cluster_etcd_external": "cluster_external_etcd",
}
# How Ansible reaches a host, as people set it; what they may have meant by a name that Ansible does not know.
CONNECTION_VARIABLES = tuple(
    "ansible_" + name
    for name in (
        *("host", "port", "user", "password", "connection", "timeout", "pipelining", "python_interpreter"),
        *("become", "become_user", "become_method", "become_password", "become_flags", "become_exe"),
        *("ssh_private_key_file", "ssh_common_args", "ssh_extra_args", "ssh_user", "ssh_host", "ssh_port"),
    )
)
# Other names of connection, become and shell plugins that are near those, and right.
_OTHER_CONNECTION_VARIABLES = frozenset(
    "ansible_" + name
    for name in (
        *("become_pass", "private_key", "private_key_file", "ssh_private_key", "ssh_pass", "ssh_password", "ssh_args"),
        *("ssh_timeout", "ssh_pipelining", "ssh_executable", "ssh_retries", "sudo_user", "su_user", "ssh_connection"),
    )
)
# Variables of roles and of single operations, which have other prefixes.
OPERATION_VARIABLES = (
    *("add_nodes", "calico_definitions_url", "calico_felix_config", "calico_mtu", "calico_timeout"),
    *("calico_typha_nodes", "containerd_open_files", "docker_cri_dockerd_url"),
    *("conformance_clean", "conformance_focus", "conformance_folder", "conformance_repositories"),
    *("conformance_suite", "conformance_timeout", "rebuild_conformance"),
    *(
        "control_plane_renew_before",
        "control_plane_renew_force",
        "control_plane_renew_timeout",
        "control_plane_timeout",
    ),
    *("etcd_backup_directory", "etcd_backup_from", "etcd_backup_keep", "etcd_backup_pki", "etcd_backup_schedule"),
    *("etcd_restore_confirm", "etcd_restore_pki", "etcd_restore_snapshot", "etcd_timeout"),
    *("flannel_backend", "flannel_interface", "flannel_timeout", "haproxy_lock_timeout", "keepalived_lock_timeout"),
    *("kube_packages_lock_timeout", "metrics_server_arguments", "metrics_server_timeout"),
    *("node_kernel_modules", "node_sysctls", "preflight_before_reset"),
    *("raspberry_pi_command_line", "raspberry_pi_journal", "raspberry_pi_journal_size", "raspberry_pi_reboot_timeout"),
    *("remove_dead", "remove_drain_timeout", "remove_nodes"),
    *("reset_confirm", "reset_hosts", "reset_packages", "reset_timeout"),
    *("smoke_test_timeout", "upgrade_batch", "upgrade_drain_timeout", "upgrade_ready_timeout", "worker_timeout"),
)
CLUSTER_WIDE = frozenset(
    "cluster_" + name
    for name in (
        "name",
        "kubernetes_version",
        "endpoint",
        "api_port",
        "virtual_ip",
        "virtual_router_id",
        "load_balancer_port",
        "external_etcd",
        "encrypt_secrets",
        "audit_rules",
        "pod_security",
        "extra_sans",
        "pod_cidr",
        "service_cidr",
        "dns_domain",
        "node_port_range",
        "network",
        "flannel_backend",
        "calico_version",
        "calico_encapsulation",
        "proxy_mode",
        "feature_gates",
        "schedule_on_control_planes",
        "image_repository",
        "kubeadm_cluster_config",
        "kubelet_config",
        "kube_proxy_config",
        "kubeconfig_path",
        "smoke_test",
        "validate_mirror",
    )
)

_NAMED = 3
# What `kubestead mirror build` makes only where it is asked for by name.
_CALICO_IMAGES = ("calico-node", "calico-cni", "calico-kube-controllers", "calico-typha")
_ON_REQUEST = {"cri-dockerd", "metrics-server", *_CALICO_IMAGES}


class _Unknown:
    """What a template is worth before the run: not to be known."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where something stands: a file with a line, or a description such as a command line's option."""

    path: t.Optional[str] = None
    line: t.Optional[int] = None
    description: t.Optional[str] = None

    def __str__(self) -> str:
        if self.path is None:
            return (self.description or "the inventory").strip("<>")
        path = os.path.relpath(self.path)
        path = self.path if path.startswith("..") else path
        return f"{path}:{self.line}" if self.line else path


@dataclasses.dataclass(frozen=True)
class Variable:
    """One definition of a variable. ``secret`` keeps its value out of messages; ``where`` is all, group, host or extra."""

    name: str
    value: t.Any
    origin: Origin = Origin()
    where: str = "all"
    owner: str = "all"
    secret: bool = False

    @property
    def is_template(self) -> bool:
        """Whether Ansible would render the value."""
        return _has_template(self.value)


def _has_template(value: t.Any) -> bool:
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, dict):
        return any(_has_template(item) for pair in value.items() for item in pair)
    if isinstance(value, list):
        return any(map(_has_template, value))
    return False


# The definitions of one host or group by name, in layers: those of the inventory file come first, then those of files
# beside the inventory, then those beside the playbook; a later one wins.
Layers = t.Sequence[t.Mapping[str, Variable]]


@dataclasses.dataclass
class Group:
    """A group with all its hosts, those of its children too."""

    name: str
    hosts: t.Sequence[str]
    layers: Layers = ()
    origin: Origin = Origin()


@dataclasses.dataclass
class Host:
    """A host with the groups it is in, all left out, those first whose variables give way."""

    name: str
    groups: t.Sequence[str]
    layers: Layers = ()
    origin: Origin = Origin()


@dataclasses.dataclass(frozen=True)
class Stray:
    """A file or folder of ``group_vars`` or ``host_vars`` whose name is that of no group or host."""

    kind: str
    name: str
    path: str


@dataclasses.dataclass
class Inventory:
    """What was read. ``render`` tells what a template is worth for a host, UNKNOWN where that takes a run.

    ``folder`` is the playbook's, from which relative paths count. ``unreadable`` tells why files of an inventory without
    hosts could not be read, and where.
    """

    groups: t.Dict[str, Group]
    hosts: t.Dict[str, Host]
    extra: t.Mapping[str, Variable] = dataclasses.field(default_factory=dict)
    strays: t.Sequence[Stray] = ()
    source: Origin = Origin()
    render: t.Callable[[t.Any, str], t.Any] = lambda _value, _host: UNKNOWN
    folder: str = ""
    unreadable: t.Sequence[t.Tuple[str, Origin]] = ()

    def lookup(self, name: str, host: t.Optional[Host]) -> t.Optional[Variable]:
        """Return the definition of ``name`` that counts for ``host``, or for all where there is none."""
        if name in self.extra:
            return self.extra[name]
        holders: t.List[t.List[Layers]] = []
        if host is not None:
            holders += [[host.layers], [self.groups[group].layers for group in host.groups]]
        if "all" in self.groups:
            holders.append([self.groups["all"].layers])
        for layered in holders:
            for level in range(max(map(len, layered), default=0) - 1, -1, -1):
                for layers in reversed(layered):
                    if level < len(layers) and name in layers[level]:
                        return layers[level][name]
        return None

    def hosts_of(self, group: str) -> t.Sequence[str]:
        """Return the hosts of a group, none where there is no such group."""
        return self.groups[group].hosts if group in self.groups else ()

    def definitions(self) -> t.Iterator[Variable]:
        """Yield every definition once, however many hosts it counts for."""
        yield from self.extra.values()
        owners: t.List[t.Union[Group, Host]] = [*self.groups.values(), *self.hosts.values()]
        for owner in owners:
            for layer in owner.layers:
                yield from layer.values()


@dataclasses.dataclass(frozen=True)
class Finding:
    """A mistake, or with ``warning`` a doubt, and all that is to be said of it."""

    rule: str
    text: str
    origin: Origin = Origin()
    host: str = ""
    group: str = ""
    variable: str = ""
    value: str = ""
    allowed: str = ""
    hint: str = ""
    warning: bool = False

    @property
    def message(self) -> str:
        """The finding on one line: where, who, what, what is allowed, what was probably meant."""
        who = f"host {self.host}: " if self.host else f"group {self.group}: " if self.group else ""
        what = f"{self.variable} is {self.value}: " if self.value else ""
        what = what or (f"{self.variable}: " if self.variable else "")
        parts = [f"{self.origin}: {who}{what}{self.text}."]
        if self.allowed:
            parts.append(f"Allowed: {self.allowed}.")
        if self.hint:
            parts.append(self.hint)
        return redacted(" ".join(parts))

    def as_dict(self) -> t.Dict[str, t.Any]:
        """The finding for programs, without what does not apply."""
        fields = {
            "rule": self.rule,
            "file": self.origin.path,
            "line": self.origin.line,
            "host": self.host,
            "group": self.group,
            "variable": self.variable,
            "value": self.value,
            "allowed": self.allowed,
            "hint": redacted(self.hint),
            "message": self.message,
        }
        return {name: value for name, value in fields.items() if value}


class MirrorAnswer(t.NamedTuple):
    """What a mirror said: the address asked, its index, or why there is none."""

    asked: str
    contents: t.Optional[t.Mapping[str, t.Any]]
    failure: str = ""


Held = t.Mapping[str, t.Mapping[str, str]]


class Mirror(t.NamedTuple):
    """How to ask a mirror for its index, and what an index says that it holds of each minor (None: it does not say)."""

    ask: t.Callable[[str], MirrorAnswer]
    held: t.Callable[[t.Mapping[str, t.Any]], t.Optional[Held]]


@dataclasses.dataclass
class Case:
    """An inventory with what it is measured against, and what the rules share of what they found out."""

    inventory: Inventory
    options: t.Mapping[str, t.Mapping[str, t.Any]]
    supported: Supported
    mirror: t.Optional[Mirror] = None

    def __post_init__(self) -> None:
        placed = {host for group in GROUP_ALIASES for host in self.inventory.hosts_of(group)}
        lost = {
            group.name: [host for host in group.hosts if host not in placed]
            for group in self.inventory.groups.values()
            if _meant_group(group.name)
        }
        self.misspelt = {name: hosts for name, hosts in lost.items() if hosts}
        self.control_planes = self._members(CONTROL_PLANE)
        self.workers = [host for host in self._members(WORKERS) if host not in self.control_planes]
        self.members = [*self.control_planes, *self.workers]
        self.load_balancers = self._members(LOAD_BALANCERS)
        self.machines = list(dict.fromkeys([*self.members, *self.load_balancers]))
        self._rendered: t.Dict[t.Tuple[int, str], t.Any] = {}
        self._wide: t.Dict[str, t.Any] = {}
        self.addresses = {host: self._address(host) for host in self.machines}

    def _members(self, name: str) -> t.List[str]:
        # Hosts of a misspelt group count as of the one that was meant, so that what is wrong with them is said at once.
        lost = [host for group, hosts in self.misspelt.items() if _meant_group(group) == name for host in hosts]
        return list(dict.fromkeys([*self.inventory.hosts_of(name), *lost]))

    def value_for(self, variable: Variable, host: t.Optional[str]) -> t.Any:
        """Return what ``variable`` is worth for ``host``, rendered where it is a template."""
        value = variable.value
        if variable.is_template:
            key = (id(variable), host or "")
            if key not in self._rendered:
                self._rendered[key] = self.inventory.render(value, host or "")
            value = self._rendered[key]
        if variable.where == "extra" and value is not UNKNOWN:
            value = coerce(self.options.get(variable.name, {}), value)
        return value

    def representative(self, variable: Variable) -> t.Optional[str]:
        """Return a host that ``variable`` counts for."""
        if variable.where == "host":
            return variable.owner
        if variable.where == "group":
            return next(iter(self.inventory.groups[variable.owner].hosts), None)
        return next(iter(self.machines), None)

    def definition(self, name: str) -> t.Optional[Variable]:
        """Return the definition of a variable that is the same for the whole cluster."""
        first = next(iter(self.machines), None)
        return self.inventory.lookup(name, self.inventory.hosts[first] if first else None)

    def wide(self, name: str) -> t.Any:
        """Return the value of a cluster-wide variable, UNKNOWN where it is not of its type."""
        if name not in self._wide:
            variable = self.definition(name)
            value = self.options[name].get("default")
            if variable is not None:
                value = self.value_for(variable, next(iter(self.machines), None))
                if value is not UNKNOWN and type_problem(self.options[name], value):
                    value = UNKNOWN
            self._wide[name] = value
        return self._wide[name]

    def _address(self, host: str) -> t.Tuple[str, t.Optional[Variable]]:
        for name in ("cluster_node_address", "ansible_host"):
            variable = self.inventory.lookup(name, self.inventory.hosts[host])
            if variable is not None:
                value = self.value_for(variable, host)
                if isinstance(value, str) and value:
                    return value, variable
                if value is UNKNOWN:
                    return "", variable
        return host, None

    def origin_of_address(self, host: str) -> Origin:
        """Return where the address of ``host`` comes from."""
        variable = self.addresses[host][1]
        return variable.origin if variable else self.inventory.hosts[host].origin


Findings = t.Iterator[Finding]


def _about(variable: Variable, worth: t.Any, rule: str, text: str, **more: t.Any) -> Finding:
    # A list or mapping is too long to be shown: the text names the part of it.
    hidden = variable.secret or worth is UNKNOWN or isinstance(worth, (list, dict))
    more.setdefault("value", "" if hidden else shown(worth))
    more.setdefault("host", variable.owner if variable.where == "host" else "")
    more.setdefault("group", variable.owner if variable.where == "group" else "")
    return Finding(rule, text, variable.origin, variable=variable.name, **more)


def _several(names: t.Sequence[str]) -> str:
    shown_names = list(names[:_NAMED])
    rest = len(names) - _NAMED
    if rest > 0:
        return "{} and {} more".format(", ".join(shown_names), rest)
    return (
        " and ".join([", ".join(shown_names[:-1]), shown_names[-1]]) if len(shown_names) > 1 else "".join(shown_names)
    )


# ------------------------------------------------------------------------------------------------- names and values


def unknown_variables(case: Case) -> Findings:
    """A variable that looks like one of ours and is none of them."""
    known = list(case.options)
    meanings: t.Dict[str, t.Optional[str]] = {}
    for variable in case.inventory.definitions():
        name = variable.name
        if name in case.options or name.startswith("ansible_"):
            continue
        if name not in meanings:
            meanings[name] = VARIABLE_ALIASES.get(name) or _meant_variable(name, known)
        meant = meanings[name]
        if name.startswith("cluster_") or meant:
            hint = did_you_mean(meant) or "docs/variables.md lists them all."
            yield _about(variable, variable.value, "unknown-variable", "there is no such variable", value="", hint=hint)


def _meant_variable(name: str, known: t.Sequence[str]) -> t.Optional[str]:
    if not name.startswith("cluster_"):
        return suggestion(name, known, 0.9)
    close = suggestion(name[len("cluster_") :], [one[len("cluster_") :] for one in known], 0.6)
    return "cluster_" + close if close else None


def doubtful_variables(case: Case) -> Findings:
    """A variable that nobody reads, with a name so near to one of ours or Ansible's that it may be meant."""
    meanings = _without_prefix(case.options)
    templates = [str(one.value) for one in case.inventory.definitions() if one.is_template]
    found: t.Dict[str, t.Optional[str]] = {}
    for variable in case.inventory.definitions():
        name = variable.name
        ours = not name.startswith("ansible_")
        if name not in found:
            meant = (
                _meant_by(name, meanings) or _meant_operation_variable(name)
                if ours
                else _meant_connection_variable(name)
            )
            found[name] = meant if meant and not any(name in template for template in templates) else None
        if found[name]:
            text = f"{'Kubestead' if ours else 'Ansible'} reads no such variable"
            hint = did_you_mean(found[name])
            yield _about(variable, variable.value, "doubtful-variable", text, value="", hint=hint, warning=True)


def _without_prefix(options: t.Iterable[str]) -> t.Dict[str, str]:
    """Our variables, and what others call them, by their names without ``cluster_``; single words may be anybody's."""
    whole = {**{name: name for name in options}, **VARIABLE_ALIASES}
    short = {name[len("cluster_") :]: meant for name, meant in whole.items()}
    return {name: meant for name, meant in short.items() if "_" in name}


def _meant_by(name: str, meanings: t.Mapping[str, str]) -> t.Optional[str]:
    if name.startswith("cluster_") or "_" not in name:
        return None
    close = name if name in meanings else suggestion(name, meanings, 0.87)
    return meanings[close] if close else None


def _meant_operation_variable(name: str) -> t.Optional[str]:
    if name.startswith("cluster_") or name in OPERATION_VARIABLES:
        return None
    return suggestion(name, OPERATION_VARIABLES, 0.9)


def _meant_connection_variable(name: str) -> t.Optional[str]:
    if name in CONNECTION_VARIABLES or name in _OTHER_CONNECTION_VARIABLES:
        return None
    short = [one[len("ansible_") :] for one in CONNECTION_VARIABLES]
    close = suggestion(name[len("ansible_") :], short, 0.85)
    return "ansible_" + close if close else None


def wrong_values(case: Case) -> Findings:
    """A value of the wrong type or form, each definition looked at once."""
    for variable in case.inventory.definitions():
        option = case.options.get(variable.name)
        if option is None:
            continue
        value = case.value_for(variable, case.representative(variable))
        if value is UNKNOWN:
            continue
        for problem in problems(variable.name, option, value, case.supported):
            text, hint = (problem.text, problem.hint) if not variable.secret else ("the value is not right", "")
            yield _about(variable, value, "wrong-value", text, allowed=problem.allowed, hint=hint)


def misplaced_variables(case: Case) -> Findings:
    """A variable for one host that stands where many hosts read it."""
    for variable in case.inventory.definitions():
        if variable.name != "cluster_node_address" or variable.where == "host" or variable.is_template:
            continue
        group = case.inventory.groups.get(variable.owner)
        hosts = list(group.hosts) if group and variable.where == "group" else case.machines
        if variable.value and len(hosts) > 1:
            text = f"it is the address of one host, and here {len(hosts)} hosts would have it"
            hint = "Set it at each host, or derive it: a template may speak of the host."
            yield _about(variable, variable.value, "host-variable-for-many", text, hint=hint)


def differing_values(case: Case) -> Findings:
    """A variable of the whole cluster that hosts disagree about."""
    elsewhere: t.Dict[str, t.List[Variable]] = {}
    for variable in case.inventory.definitions():
        if variable.name in CLUSTER_WIDE and variable.where in ("group", "host"):
            elsewhere.setdefault(variable.name, []).append(variable)
    for name, variables in elsewhere.items():
        values: t.Dict[str, t.List[str]] = {}
        for host in case.machines:
            found = case.inventory.lookup(name, case.inventory.hosts[host])
            value = case.value_for(found, host) if found else case.options[name].get("default")
            if value is not UNKNOWN:
                values.setdefault("(secret)" if found and found.secret else shown(value), []).append(host)
        if len(values) > 1:
            told = "; ".join(f"{value} at {_several(hosts)}" for value, hosts in values.items())
            text = f"the cluster has one value of it, and its hosts have several ({told})"
            hint = "Set it once, in group_vars/all/cluster.yml."
            yield _about(variables[0], variables[0].value, "differing-values", text, value="", hint=hint)


# --------------------------------------------------------------------------------------------------- hosts and groups


def groups_of_the_cluster(case: Case) -> Findings:
    """No control plane, misspelt groups, hosts that belong to no part of the cluster."""
    inventory = case.inventory
    if not inventory.hosts:
        yield from _no_hosts(inventory)
        return
    for name, hosts in case.misspelt.items():
        text = f"Kubestead knows no such group, so {_several(hosts)} would be left out"
        hint = did_you_mean(_meant_group(name))
        yield Finding("misspelt-group", text, inventory.groups[name].origin, group=name, hint=hint)
    if not case.control_planes:
        yield _no_control_plane(inventory)
    for host in inventory.hosts.values():
        is_controller = host.name in ("localhost", "127.0.0.1") and not host.groups
        if host.name not in case.addresses and not is_controller:
            yield _outsider(host)


def _no_hosts(inventory: Inventory) -> Findings:
    for text, origin in inventory.unreadable:
        yield Finding("unreadable", text, origin)
    if not inventory.unreadable:
        hint = "`kubestead init FOLDER` writes an inventory to begin with."
        yield Finding("no-hosts", "the inventory holds no host", inventory.source, hint=hint)


def _meant_group(name: str) -> t.Optional[str]:
    if name in (*GROUP_ALIASES, "all", "ungrouped"):
        return None
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    for group, aliases in GROUP_ALIASES.items():
        if plain in aliases or suggestion(plain, (group,), 0.8):
            return group
    return None


def _no_control_plane(inventory: Inventory) -> Finding:
    group = inventory.groups.get(CONTROL_PLANE)
    hint = "Put at least one host into it: [control_plane] in an INI file, children: control_plane: in YAML."
    if group is None:
        return Finding("no-control-plane", "there is no group control_plane", inventory.source, hint=hint)
    return Finding("no-control-plane", "it holds no host", group.origin, group=CONTROL_PLANE, hint=hint)


def _outsider(host: Host) -> Finding:
    groups = [group for group in host.groups if group != "ungrouped"]
    allowed = "control_plane, workers or load_balancers"
    if not groups:
        return Finding("host-in-no-group", "it is in no group", host.origin, host=host.name, allowed=allowed)
    text = f"it is in {_several(groups)}, in none of {', '.join(GROUP_ALIASES)}, and stays out of the cluster"
    return Finding("host-outside", text, host.origin, host=host.name, warning=True)


def hosts_in_both_groups(case: Case) -> Findings:
    """A control plane that is listed as a worker too."""
    for host in [
        host for host in case.inventory.hosts_of(CONTROL_PLANE) if host in set(case.inventory.hosts_of(WORKERS))
    ]:
        text = "it is in control_plane and in workers, and becomes a control plane"
        hint = "For pods on it, set cluster_schedule_on_control_planes: always."
        yield Finding(
            "host-in-both-groups", text, case.inventory.hosts[host].origin, host=host, hint=hint, warning=True
        )


def node_names(case: Case) -> Findings:
    """Names that Kubernetes refuses, and names that are one to it."""
    seen: t.Dict[str, str] = {}
    nodes = set(case.members)
    for name in case.machines:
        host = case.inventory.hosts[name]
        if name in nodes and not is_dns_name(name):
            candidate = re.sub(r"[^a-z0-9.-]+", "-", name.lower()).strip("-.")
            text = "Kubernetes takes no node of this name"
            hint = did_you_mean(candidate)
            yield Finding("node-name", text, host.origin, host=name, allowed=NODE_NAME, hint=hint)
        elif name in nodes and not is_address(name) and len(name) > 63:
            yield Finding("node-name", "the name is too long for a host", host.origin, host=name, allowed="63 letters")
        other = seen.setdefault(name.lower(), name)
        if other != name:
            text = f"its name differs from that of host {other} by case only"
            yield Finding("same-name", text, host.origin, host=name, hint="Give each a name of its own.")


def node_addresses(case: Case) -> Findings:
    """Two hosts with one address, loopback addresses and mistyped ones."""
    seen: t.Dict[str, str] = {}
    for name in case.machines:
        address, variable = case.addresses[name]
        if not address:
            continue
        origin = case.origin_of_address(name)
        other = seen.setdefault(address.lower() if variable else address, name)
        if other != name and not (variable and variable.name == "cluster_node_address" and variable.where != "host"):
            text = f"it has the address of host {other} ({case.origin_of_address(other)})"
            hint = "Where two ports of one machine lead to two nodes, set cluster_node_address at each."
            yield _at_address(variable, origin, name, address, "same-address", text, hint=hint)
        if variable is None or variable.name == "cluster_node_address":
            continue
        if re.fullmatch(r"[0-9.]+", address) and not is_address(address):
            yield _at_address(variable, origin, name, address, "wrong-address", "this is no IP address")
        elif is_address(address) and ipaddress.ip_address(address).is_loopback and len(case.machines) > 1:
            text = "other nodes cannot reach this address"
            yield _at_address(variable, origin, name, address, "loopback", text, hint="Set cluster_node_address too.")


def _at_address(
    variable: t.Optional[Variable], origin: Origin, host: str, address: str, rule: str, text: str, hint: str = ""
) -> Finding:
    name = variable.name if variable else ""
    return Finding(rule, text, origin, host=host, variable=name, value=shown(address) if name else "", hint=hint)


def files_for_nobody(case: Case) -> Findings:
    """A file in group_vars or host_vars that Ansible never reads, since its name is nobody's."""
    for stray in case.inventory.strays:
        names = list(case.inventory.groups if stray.kind == "group" else case.inventory.hosts)
        alias = _meant_group(stray.name) if stray.kind == "group" else None
        meant = (alias if alias in names else None) or suggestion(stray.name, names)
        text = f"there is no {stray.kind} {stray.name}, so these variables count for nobody"
        hint = did_you_mean(f"{stray.kind}_vars/{meant}" if meant else None)
        yield Finding("file-for-nobody", text, Origin(stray.path), hint=hint, warning=not meant)


# ------------------------------------------------------------------------------------------------------------ network


def address_ranges(case: Case) -> Findings:
    """Ranges that overlap each other or hold a node, and a pod range too small for the nodes."""
    pods, services = (parse_cidr(case.wide(name)) for name in ("cluster_pod_cidr", "cluster_service_cidr"))
    hint = "Choose ranges that nothing else uses: 10.244.0.0/16 and 10.96.0.0/12 are the usual ones."
    if pods and services and pods.version == services.version and pods.overlaps(services):
        text = f"it overlaps cluster_service_cidr ({services})"
        yield _at_wide(case, ("cluster_pod_cidr", "cluster_service_cidr"), "overlap", text, hint=hint)
    if pods and services and pods.version != services.version:
        text = f"cluster_service_cidr ({services}) is of another address family"
        yield _at_wide(case, ("cluster_pod_cidr", "cluster_service_cidr"), "address-family", text)
    for name, network in (("cluster_pod_cidr", pods), ("cluster_service_cidr", services)):
        if network is None:
            continue
        inside = [host for host in case.machines if _within(case.addresses[host][0], network)]
        if inside:
            told = _several([f"{host} ({case.addresses[host][0]})" for host in inside])
            text = f"the range holds the address of {told}"
            yield _at_wide(case, (name,), "overlap", text, hint="Choose a range that no machine uses.")
        shared = {_virtual_ip(case): "cluster_virtual_ip", _endpoint_host(case): "cluster_endpoint"}
        for address in [address for address in shared if _within(address, network)]:
            text = f"the range holds {shared[address]} ({address})"
            yield _at_wide(case, (name, shared[address]), "overlap", text, hint="Choose a range that no machine uses.")
    if pods:
        yield from _room_for_nodes(case, pods)


def _within(address: str, network: t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]) -> bool:
    return is_address(address) and ipaddress.ip_address(address) in network


def _at_wide(case: Case, names: t.Sequence[str], rule: str, text: str, **more: t.Any) -> Finding:
    """A finding on the first variable of ``names``, placed where the first of them that is set at all stands."""
    values = {name: case.wide(name) for name in names}
    for name in names:
        variable = case.definition(name)
        if variable is not None:
            more.setdefault("value", "" if variable.secret else shown(values[names[0]]))
            return Finding(rule, text, variable.origin, variable=names[0], **more)
    more.setdefault("value", shown(values[names[0]]))
    return Finding(rule, text, case.inventory.source, variable=names[0], **more)


def _room_for_nodes(case: Case, pods: t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]) -> Findings:
    mask = _node_mask(case, 24 if pods.version == 4 else 64)
    room = 2 ** (mask - pods.prefixlen) if mask >= pods.prefixlen else 0
    if mask - pods.prefixlen > 16:
        text = f"the range is too large: Kubernetes cuts a /{mask} per node out of it, 65536 at most"
        yield _at_wide(case, ("cluster_pod_cidr",), "pod-range", text, allowed=f"/{mask - 16} or longer")
    elif room < len(case.members):
        wanted = mask - max(0, (len(case.members) - 1).bit_length())
        text = f"each node gets a /{mask} of it, which makes {room}, and there are {len(case.members)}"
        yield _at_wide(case, ("cluster_pod_cidr",), "pod-range", text, allowed=f"/{wanted} or shorter")


def _node_mask(case: Case, default: int) -> int:
    config = case.wide("cluster_kubeadm_cluster_config")
    manager = config.get("controllerManager") if isinstance(config, dict) else None
    arguments = manager.get("extraArgs") if isinstance(manager, dict) else None
    for argument in arguments if isinstance(arguments, list) else []:
        if isinstance(argument, dict) and re.fullmatch(r"node-cidr-mask-size(-ipv[46])?", str(argument.get("name"))):
            value = str(argument.get("value"))
            return int(value) if value.isdigit() else default
    return default


def _endpoint_host(case: Case) -> str:
    value = case.wide("cluster_endpoint")
    try:
        return split_endpoint(value)[0] if value and value is not UNKNOWN else ""
    except ValueError:
        return ""


def endpoint(case: Case) -> Findings:
    """An endpoint where several control planes need one, and where it leads."""
    value = case.wide("cluster_endpoint")
    balanced = case.load_balancers or case.wide("cluster_virtual_ip")
    if not value and not balanced and len(case.control_planes) > 1:
        text = f"{len(case.control_planes)} control planes need one address for all of them"
        hint = (
            "Set it to a name or address that leads to them all, as api.example.org:6443; or put hosts into the group "
            "load_balancers and set cluster_virtual_ip."
        )
        yield _at_wide(case, ("cluster_endpoint",), "no-endpoint", text, hint=hint)
    host = _endpoint_host(case)
    if not host:
        return
    beside = list(_beside_the_virtual_ip(case, host, split_endpoint(value)[1]))
    yield from beside or _where_it_leads(case, host, split_endpoint(value)[1])


def _beside_the_virtual_ip(case: Case, host: str, port: t.Optional[int]) -> Findings:
    address, balanced = _virtual_ip(case), _load_balancer_port(case)
    if not address:
        return
    if is_address(host) and host != address:
        text = f"the load balancers carry another address, cluster_virtual_ip ({address})"
        hint = "Leave it empty, which means cluster_virtual_ip, or set a name that leads there."
        yield _at_wide(case, ("cluster_endpoint",), "endpoint-is-not-virtual-ip", text, hint=hint)
    elif port and balanced and port != balanced:
        text = f"the load balancers listen on port {balanced}"
        hint = f"Leave the port away, or set cluster_load_balancer_port: {port}."
        yield _at_wide(case, ("cluster_endpoint",), "endpoint-port", text, hint=hint)


def _where_it_leads(case: Case, host: str, port: t.Optional[int]) -> Findings:
    names = {case.addresses[name][0].lower(): name for name in case.machines}
    names.update({name.lower(): name for name in case.machines})
    leads_to = names.get(host.lower())
    alone = len(case.load_balancers if leads_to in case.load_balancers else case.control_planes) == 1
    if leads_to in case.workers and leads_to not in case.load_balancers:
        text = f"it is the address of the worker {leads_to}, where no API server listens"
        yield _at_wide(case, ("cluster_endpoint",), "endpoint-is-worker", text)
    elif leads_to and not alone:
        text = f"it is the address of {leads_to} alone, and the cluster stands still without that machine"
        yield _at_wide(case, ("cluster_endpoint",), "endpoint-is-one-machine", text, warning=True)
    elif leads_to and leads_to not in case.load_balancers:
        own = case.wide("cluster_api_port")
        if port and isinstance(own, int) and port != own:
            text = f"the API server of {leads_to} listens on cluster_api_port ({own})"
            yield _at_wide(case, ("cluster_endpoint",), "endpoint-port", text, hint="Give both the same port.")


def ports(case: Case) -> Findings:
    """A port range for services that holds a port of the cluster's own."""
    value, api_port = case.wide("cluster_node_port_range"), case.wide("cluster_api_port")
    try:
        first, last = parse_range(value) if value is not UNKNOWN else (0, 0)
    except ValueError:
        return
    own = {2379: "etcd", 10250: "the kubelet", 22: "SSH"}
    if isinstance(api_port, int):
        own[api_port] = "the API server"
    if set(case.load_balancers) & set(case.members):
        own[_load_balancer_port(case)] = "the load balancers"
    inside = [f"{port} ({name})" for port, name in sorted(own.items()) if first <= port <= last]
    if inside:
        text = "a service that asks for one of these ports cuts it off: {}".format(", ".join(inside))
        yield _at_wide(case, ("cluster_node_port_range",), "port-range", text, warning=True)


# ------------------------------------------------------------------------------------------------------ load balancers


def _virtual_ip(case: Case) -> str:
    """The virtual IP, empty where there is none or its form is wrong."""
    name = "cluster_virtual_ip"
    value = case.wide(name)
    if not value or value is UNKNOWN or any(problems(name, case.options[name], value, case.supported)):
        return ""
    return str(value)


def _load_balancer_port(case: Case) -> int:
    """The port as derived.yml draws it from the variable, 0 where that is a template."""
    port = case.wide("cluster_load_balancer_port")
    if port is UNKNOWN:
        return 0
    return int(port) or (8443 if set(case.load_balancers) & set(case.control_planes) else 6443)


def load_balancers(case: Case) -> Findings:
    """Load balancers without an address to share, the address without them, and one of them alone."""
    value = case.wide("cluster_virtual_ip")
    groups = [LOAD_BALANCERS, *(name for name in case.misspelt if _meant_group(name) == LOAD_BALANCERS)]
    name = next((name for name in groups if case.inventory.hosts_of(name)), LOAD_BALANCERS)
    if case.load_balancers and value == "":
        hint = "Set it to a free address in their network."
        origin = case.inventory.groups[name].origin
        yield Finding("no-virtual-ip", "its hosts need cluster_virtual_ip to share", origin, group=name, hint=hint)
    if len(case.load_balancers) == 1:
        text = f"{case.load_balancers[0]} is the only one, and the cluster stands still without that machine"
        origin = case.inventory.groups[name].origin
        yield Finding("one-load-balancer", text, origin, group=name, warning=True)
    if value and not case.load_balancers:
        yield _no_load_balancers(case)


def _no_load_balancers(case: Case) -> Finding:
    # A group of another name may hold control planes or workers, which are in their places and so not missed.
    meant = next((name for name in case.inventory.groups if _meant_group(name) == LOAD_BALANCERS), None)
    hint = (
        "Name the hosts that shall carry it in that group; or, for a load balancer that is not Kubestead's, leave this "
        "empty and set cluster_endpoint to its address."
    )
    hint = f"Did you mean the group {meant}? Call it load_balancers." if meant else hint
    text = "no host is in the group load_balancers to carry it"
    return _at_wide(case, ("cluster_virtual_ip",), "no-load-balancers", text, hint=hint)


def virtual_ip(case: Case) -> Findings:
    """A virtual IP that a machine has already, or that is far from the load balancers."""
    address = _virtual_ip(case)
    if not address:
        return
    holder = next((host for host in case.inventory.hosts.values() if address in _literal_addresses(case, host)), None)
    if holder:
        text = f"it is the address of host {holder.name} ({_place_of(case, holder)})"
        hint = "Choose one that no machine has: the load balancers give it to one of themselves, and to another later."
        yield _at_wide(case, ("cluster_virtual_ip",), "virtual-ip-of-a-host", text, hint=hint)
    else:
        yield from _distance(case, address)


def _literal_addresses(case: Case, host: Host) -> t.Iterator[str]:
    if host.name in case.addresses:
        yield case.addresses[host.name][0]
    yield host.name
    for name in ("cluster_node_address", "ansible_host"):
        variable = case.inventory.lookup(name, host)
        if variable and isinstance(variable.value, str):
            yield variable.value


def _place_of(case: Case, host: Host) -> Origin:
    return case.origin_of_address(host.name) if host.name in case.addresses else host.origin


def _distance(case: Case, address: str) -> Findings:
    """How far the virtual IP is from those that carry it; preflight, which sees the prefix lengths, decides exactly."""
    # An interface of its own for it may well be in another network than the one that Ansible uses.
    own = [host for host in case.load_balancers if not _has_interface(case, host)]
    known = {case.addresses[host][0]: host for host in own if _is_ipv4(case.addresses[host][0])}
    near = {length: _same_network(address, known, length) for length in (16, 24)}
    if not known or near[24]:
        return
    told = _several([f"{host} ({where})" for where, host in known.items()])
    hint = "Set one of their network; or, where another network card leads there, set cluster_virtual_ip_interface."
    if near[16]:
        text = f"it may lie outside the network of the load balancers, {told}"
    else:
        text = f"it lies outside the network of the load balancers, {told}"
    yield _at_wide(case, ("cluster_virtual_ip",), "virtual-ip-elsewhere", text, hint=hint, warning=bool(near[16]))


def _has_interface(case: Case, host: str) -> bool:
    variable = case.inventory.lookup("cluster_virtual_ip_interface", case.inventory.hosts[host])
    return variable is not None and case.value_for(variable, host) != ""


def _is_ipv4(text: str) -> bool:
    return is_address(text) and ":" not in text


def _same_network(address: str, others: t.Iterable[str], length: int) -> bool:
    network = ipaddress.ip_network(f"{address}/{length}", strict=False)
    return any(ipaddress.ip_address(other) in network for other in others)


def load_balancer_port(case: Case) -> Findings:
    """A port that the load balancers and a component of Kubernetes on the same machine would both have."""
    port, api_port = _load_balancer_port(case), case.wide("cluster_api_port")
    taken = {number: owner for number, owner in PORTS_IN_USE.items() if number != 22}
    nodes = [host for host in case.load_balancers if host in set(case.members)]
    if port == api_port:
        nodes = [host for host in nodes if host in set(case.control_planes)]
        taken[port] = "the API server (cluster_api_port)"
    if port in taken and nodes:
        text = f"on {_several(nodes)} the load balancer and {taken[port]} would both have port {port}"
        hint = "Set another, as 8443." if port != 8443 else "Set another, as 9443."
        names = ("cluster_load_balancer_port", "cluster_api_port")
        yield _at_wide(case, names, "load-balancer-port", text, value="", hint=hint)


def external_etcd(case: Case) -> Findings:
    """Files of an etcd cluster that are not on the controller."""
    value = case.wide("cluster_external_etcd")
    for key in ETCD_FILES if isinstance(value, dict) else ():
        path = value.get(key)
        if isinstance(path, str) and path and not os.access(_on_controller(case, path), os.R_OK):
            text = f"{key} is {shown(path)}, and the controller has no such file that can be read"
            hint = "A relative path counts from the playbook's folder."
            yield _at_wide(case, ("cluster_external_etcd",), "no-such-file", text, value="", hint=hint)


def _on_controller(case: Case, path: str) -> str:
    return os.path.join(case.inventory.folder, os.path.expanduser(path))


# --------------------------------------------------------------------------------------------------------- combinations


def control_plane_count(case: Case) -> Findings:
    """An even number of control planes, which bears no more failures than one fewer."""
    count = len(case.control_planes)
    if count and count % 2 == 0 and not case.wide("cluster_external_etcd"):
        text = f"{count} control planes bear the loss of no more machines than {count - 1}: etcd needs a majority"
        origin = case.inventory.groups[CONTROL_PLANE].origin
        yield Finding("even-control-planes", text, origin, group=CONTROL_PLANE, warning=True)


def combinations(case: Case) -> Findings:
    """Variables that are right alone and wrong together."""
    wide = case.wide
    if wide("cluster_proxy_mode") == "ipvs":
        text = "Kubernetes has deprecated it since 1.35 and will remove it"
        yield _at_wide(case, ("cluster_proxy_mode",), "ipvs", text, hint="nftables is its successor.", warning=True)
    if wide("cluster_network") == "none" and wide("cluster_smoke_test") is True:
        text = "the smoke test needs a pod network, and cluster_network is none"
        hint = "Set cluster_smoke_test: false, and run playbooks/smoke.yml once there is a network."
        yield _at_wide(case, ("cluster_smoke_test", "cluster_network"), "smoke-test", text, hint=hint)
    yield from _network(case)
    yield from _runtime(case)
    if wide("cluster_schedule_on_control_planes") == "never" and case.control_planes and not case.workers:
        text = "there is no worker, so no pod could run anywhere"
        yield _at_wide(case, ("cluster_schedule_on_control_planes",), "nowhere-to-run", text, allowed="auto, always")


def _network(case: Case) -> Findings:
    """What is for another network than the chosen one, and what the chosen one cannot do."""
    network = case.wide("cluster_network")
    for name in ("cluster_flannel_backend", "cluster_calico_version", "cluster_calico_encapsulation"):
        if network is not UNKNOWN and case.definition(name) and not name.startswith(f"cluster_{network}_"):
            text = f"it counts for nothing, since cluster_network is {network}"
            yield _at_wide(case, (name,), "no-effect", text, warning=True)
    if network == "flannel" and case.wide("cluster_flannel_backend") == "host-gw":
        yield from _segments(case)
    pods = parse_cidr(case.wide("cluster_pod_cidr"))
    if network == "calico" and pods and pods.version == 6:
        text = "Calico's pools are of IPv4 here"
        yield _at_wide(
            case, ("cluster_pod_cidr", "cluster_network"), "calico-ipv6", text, hint="Choose a range as 10.244.0.0/16."
        )
    minor = calico_minor(case.wide("cluster_calico_version"))
    if network == "calico" and case.wide("cluster_proxy_mode") == "nftables" and minor is not None and minor < 29:
        text = "Calico writes nftables, as it must beside such a kube-proxy, from 3.29 on"
        hint = "Set cluster_proxy_mode: iptables, or a newer cluster_calico_version."
        yield _at_wide(case, ("cluster_calico_version", "cluster_proxy_mode"), "calico-nftables", text, hint=hint)


def _runtime(case: Case) -> Findings:
    """What the one runtime cannot do, and what is for the other."""
    runtime = case.wide("cluster_container_runtime")
    others = {"docker": ("cluster_containerd_config",), "containerd": ("cluster_docker_config", "cluster_docker_users")}
    for name in others.get(runtime, ()):
        if case.wide(name) and case.wide(name) is not UNKNOWN:
            text = f"it counts for nothing, since cluster_container_runtime is {runtime}"
            yield _at_wide(case, (name,), "no-effect", text, warning=True)
    if runtime != "docker":
        return
    mirrors = case.wide("cluster_registry_mirrors")
    for url in [url for urls in mirrors.values() for url in urls] if isinstance(mirrors, dict) else []:
        if not re.fullmatch(r"[a-z]+://[^/]+(/|/v2(/.*)?)?", str(url)):
            text = f"Docker asks a registry below /v2 and nowhere else, so that it cannot use {shown(url)}"
            hint = "Name a mirror whose path is /v2/…, or none, or set cluster_container_runtime: containerd."
            yield _at_wide(
                case, ("cluster_registry_mirrors", "cluster_container_runtime"), "docker-mirror", text, hint=hint
            )
    if (
        case.wide("cluster_mirror_url")
        and case.wide("cluster_containerd_source") == "docker"
        and not case.wide("cluster_containerd_packages_url")
    ):
        text = "Docker Engine would come from the mirror, and no mirror of Kubestead's has it"
        hint = (
            "Set cluster_containerd_source: distribution, which takes the operating system's own, or cluster_containerd_packages_url: "
            "https://download.docker.com, or a mirror of that."
        )
        names = ("cluster_containerd_source", "cluster_container_runtime", "cluster_mirror_url")
        yield _at_wide(case, names, "docker-engine", text, hint=hint)


def _segments(case: Case) -> Findings:
    addresses = [case.addresses[host][0] for host in case.members if is_address(case.addresses[host][0])]
    prefixes = Counter(
        str(ipaddress.ip_network(address + ("/64" if ":" in address else "/24"), strict=False)) for address in addresses
    )
    if len(prefixes) > 1:
        told = _several(sorted(prefixes))
        text = f"it needs all nodes in one network segment, and their addresses are of {told}"
        yield _at_wide(
            case, ("cluster_flannel_backend",), "host-gw", text, hint="vxlan needs no such thing.", warning=True
        )


# -------------------------------------------------------------------------------------------------------------- mirror


def mirror(case: Case) -> Findings:
    """A mirror that does not answer, or holds another Kubernetes than the one wanted."""
    if case.mirror is None or case.wide("cluster_validate_mirror") is not True:
        return
    urls: t.Dict[str, Variable] = {}
    for host in case.members:
        found = case.inventory.lookup("cluster_mirror_url", case.inventory.hosts[host])
        value = case.value_for(found, host) if found else ""
        if found and isinstance(value, str) and value:
            urls.setdefault(value.rstrip("/"), found)
    for url, variable in urls.items():
        if list(problems(variable.name, case.options[variable.name], url, case.supported)):
            continue
        answer = case.mirror.ask(url)
        if answer.contents is None:
            text = f"the mirror does not answer: GET {answer.asked} brought {answer.failure}"
            hint = (
                "Serve it with `kubestead mirror serve`, or set cluster_validate_mirror: false "
                "where only the nodes reach it."
            )
            yield _about(variable, url, "mirror-unreachable", text, hint=hint)
        else:
            held = case.mirror.held(answer.contents)
            if held is not None:
                yield from _contents(case, variable, url, held)


def _contents(case: Case, variable: Variable, url: str, held: Held) -> Findings:
    version = case.wide("cluster_kubernetes_version")
    minor = ".".join(version.split(".")[:2]) if isinstance(version, str) else ""
    if minor not in case.supported.releases:
        return
    hint = f"Run `kubestead mirror build --kubernetes {minor}` where it is served."
    if minor not in held:
        told = "Kubernetes {}".format(", ".join(sorted(held))) if held else "no Kubernetes"
        text = f"the mirror holds {told} and not {minor}"
        yield _about(variable, url, "mirror-lacks-release", text, hint=hint)
        return
    wanted = _taken_from_mirror(case, minor)
    lacking = {name: part for name, part in wanted if not held[minor].get(name, "").startswith(part)}
    if lacking:
        named = "".join(f" --component {name}" for name in lacking)
        hint = hint.replace("` where", f"{named}` where") if lacking.keys() <= _ON_REQUEST else hint
        calico = {held[minor].get(name, "").rpartition(":v")[2] for name in lacking if name in _CALICO_IMAGES} - {""}
        if calico and lacking.keys() <= {*_CALICO_IMAGES}:
            hint = f"It has Calico {_several(sorted(calico))}: set cluster_calico_version to that."
        told = _several([part if "/" in part else f"{name} {part}" for name, part in lacking.items()])
        text = f"the mirror lacks parts of Kubernetes {minor}, or has them in other versions: {told}"
        yield _about(variable, url, "mirror-lacks-parts", text, hint=hint)


def _taken_from_mirror(case: Case, minor: str) -> t.Iterator[t.Tuple[str, str]]:
    """Yield name and version of each part that this cluster takes from its mirror and from nowhere else."""
    wide = case.wide
    elsewhere = bool(wide("cluster_image_repository") or wide("cluster_registry_mirrors"))
    for name, part in case.supported.parts.get(minor, {}).items():
        if name == "containerd.io":
            skip = wide("cluster_containerd_packages_url") or wide("cluster_containerd_source") != "docker"
        elif name == "cri-dockerd":
            skip = wide("cluster_container_runtime") != "docker"
        elif "/" not in part:
            skip = wide("cluster_packages_url")
        elif name.startswith("flannel"):
            skip = elsewhere or wide("cluster_network") != "flannel"
        elif name in _CALICO_IMAGES:
            skip = elsewhere or wide("cluster_network") != "calico"
        elif name == "metrics-server":
            skip = elsewhere or wide("cluster_metrics_server") is not True
        else:
            skip = elsewhere or (name == "agnhost" and wide("cluster_smoke_test") is not True)
        if not skip:
            yield name, _with_version(case, part) if name in _CALICO_IMAGES else part


def _with_version(case: Case, reference: str) -> str:
    """The reference of one of Calico's images in the release that the inventory names, if it does."""
    version = case.wide("cluster_calico_version")
    return f"{reference.rpartition(':')[0]}:v{version}" if isinstance(version, str) and version else reference


RULES: t.Sequence[t.Callable[[Case], Findings]] = (
    groups_of_the_cluster,
    hosts_in_both_groups,
    node_names,
    node_addresses,
    files_for_nobody,
    unknown_variables,
    doubtful_variables,
    wrong_values,
    misplaced_variables,
    differing_values,
    address_ranges,
    endpoint,
    ports,
    load_balancers,
    virtual_ip,
    load_balancer_port,
    external_etcd,
    control_plane_count,
    combinations,
    mirror,
)


def validate(
    inventory: Inventory,
    options: t.Mapping[str, t.Mapping[str, t.Any]],
    supported: Supported,
    mirror_access: t.Optional[Mirror] = None,
) -> t.List[Finding]:
    """Return everything that is wrong or doubtful about ``inventory``, ordered by place.

    ``options`` are the public variables as the role ``cluster`` specifies them. Without ``mirror_access`` no mirror
    is asked.
    """
    case = Case(inventory, options, supported, mirror_access)
    found = {finding: None for rule in RULES for finding in rule(case)}
    return sorted(found, key=lambda finding: (finding.origin.path or "", finding.origin.line or 0))


def report(mistakes: t.Sequence[Finding]) -> str:
    """Return ``mistakes`` as a list to be read, with their number before it."""
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    return "\n".join(
        [f"The inventory has {count}. No host was contacted.", *("- " + mistake.message for mistake in mistakes)]
    )
