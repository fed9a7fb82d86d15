# Copyright: Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE)
"""What a single value of a variable may be: its type, its form and the likely intention behind a wrong one."""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
import typing as t
from urllib.parse import urlsplit

from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._kubeadm import seconds

NODE_NAME = "lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit"
TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
KUBEADM_API = "kubeadm.k8s.io/v1beta4"
AUDIT_LEVELS = ("None", "Metadata", "Request", "RequestResponse")
AUDIT_FIELDS = (
    *("level", "users", "userGroups", "verbs", "resources", "namespaces", "nonResourceURLs", "omitStages"),
    "omitManagedFields",
)
HAPROXY_SECTIONS = ("global", "defaults", "frontend", "backend")
ETCD_FILES = ("ca_file", "cert_file", "key_file")

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_LABEL_VALUE = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_DNS_LABEL = re.compile(_LABEL)
_DNS_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_QUALIFIED_NAME = re.compile(rf"({_LABEL}(\.{_LABEL})*/)?{_LABEL_VALUE}")
_QUALIFIED_VALUE = re.compile(rf"({_LABEL_VALUE})?")
_USER = re.compile(r"[a-z_][-a-z0-9_]{0,30}[a-z0-9_$]?")
_REPOSITORY = re.compile(rf"{_LABEL}(\.{_LABEL})*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
_CALICO_VERSION = re.compile(r"v?3\.([0-9]+)\.[0-9]+")
# Their images and definitions are laid out as the role has them.
CALICO_MINORS = range(28, 33)
_VERSION = re.compile(r"v?([0-9]+\.[0-9]+)(\.[0-9]+)?")

# What a kubelet may say of itself in the namespaces that belong to Kubernetes; it refuses to start with anything else.
_KUBELET_NAMESPACES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_KUBELET_LABELS = {
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
}

PORTS_IN_USE = {
    22: "SSH",
    2379: "etcd's clients",
    2380: "etcd's members",
    2381: "etcd's metrics",
    10248: "the kubelet's health",
    10249: "kube-proxy's metrics",
    10250: "the kubelet",
    10256: "kube-proxy's health",
    10257: "the controller manager",
    10259: "the scheduler",
}

# The fields of kubeadm v1beta4.
KUBEADM_FIELDS: t.Dict[str, t.Tuple[str, t.Set[str]]] = {
    "cluster_kubeadm_init_config": (
        "InitConfiguration",
        {
            "bootstrapTokens",
            "dryRun",
            "nodeRegistration",
            "localAPIEndpoint",
            "certificateKey",
            "skipPhases",
            "patches",
            "timeouts",
        },
    ),
    "cluster_kubeadm_cluster_config": (
        "ClusterConfiguration",
        {
            "etcd",
            "networking",
            "kubernetesVersion",
            "controlPlaneEndpoint",
            "apiServer",
            "controllerManager",
            "scheduler",
            "dns",
            "proxy",
            "certificatesDir",
            "imageRepository",
            "featureGates",
            "clusterName",
            "encryptionAlgorithm",
            "certificateValidityPeriod",
            "caCertificateValidityPeriod",
        },
    ),
    "cluster_kubeadm_join_config": (
        "JoinConfiguration",
        {
            "dryRun",
            "nodeRegistration",
            "caCertPath",
            "discovery",
            "controlPlane",
            "skipPhases",
            "patches",
            "timeouts",
        },
    ),
}
# The fields of these documents that a variable of ours sets.
_OWN_VARIABLES: t.Dict[str, t.Dict[t.Tuple[str, ...], str]] = {
    "cluster_kubeadm_cluster_config": {
        ("kubernetesVersion",): "cluster_kubernetes_version",
        ("controlPlaneEndpoint",): "cluster_endpoint",
        ("imageRepository",): "cluster_image_repository",
        ("clusterName",): "cluster_name",
        ("networking", "podSubnet"): "cluster_pod_cidr",
        ("networking", "serviceSubnet"): "cluster_service_cidr",
        ("networking", "dnsDomain"): "cluster_dns_domain",
        ("etcd", "external"): "cluster_external_etcd",
    },
    "cluster_kubelet_config": {("clusterDomain",): "cluster_dns_domain"},
    "cluster_kube_proxy_config": {("mode",): "cluster_proxy_mode", ("clusterCIDR",): "cluster_pod_cidr"},
}
# Hours: what kubeadm gives by itself, and the most that an inventory may ask for.
_LIFETIMES = {"certificateValidityPeriod": 8760, "caCertificateValidityPeriod": 87600}
_DOCUMENTS = {
    "cluster_kubeadm_init_config": (KUBEADM_API, "InitConfiguration"),
    "cluster_kubeadm_cluster_config": (KUBEADM_API, "ClusterConfiguration"),
    "cluster_kubeadm_join_config": (KUBEADM_API, "JoinConfiguration"),
    "cluster_kubelet_config": ("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration"),
    "cluster_kube_proxy_config": ("kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration"),
}

_TYPE_WORDS = {
    "str": "text",
    "path": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "a mapping",
    "raw": "anything",
}
_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}

Option = t.Mapping[str, t.Any]
Problems = t.Iterator["Problem"]


class Problem(t.NamedTuple):
    """What is wrong with a value, what is allowed in its stead, and what was probably meant."""

    text: str
    allowed: str = ""
    hint: str = ""


class Supported(t.NamedTuple):
    """What values are measured against, beside the specification.

    ``releases`` has the patch release of each minor, ``parts`` the packages (with versions) and images (with
    references) of each minor, ``preflight`` the names of its findings, None where they are not known.
    """

    releases: t.Mapping[str, str]
    preflight: t.Optional[t.Collection[str]] = None
    parts: t.Mapping[str, t.Mapping[str, str]] = {}

    @classmethod
    def by(cls, catalogue: t.Mapping[str, t.Any], preflight: t.Optional[t.Collection[str]] = None) -> Supported:
        """What the catalogue has, without its groups of components: clusters are tested with these, and not made of them."""
        grouped = {name for names in catalogue["component_groups"].values() for name in names}
        releases = catalogue["releases"]
        return cls(
            {minor: release["kubernetes"] for minor, release in releases.items()},
            preflight,
            {
                minor: {
                    name: part
                    for name, part in {**release["packages"], **release["images"]}.items()
                    if name not in grouped
                }
                for minor, release in releases.items()
            },
        )


def shown(value: t.Any) -> str:
    """Return ``value`` for a message: as JSON, cut at 60 characters, passwords of URLs struck out."""
    text = redacted(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= 60 else text[:57] + "..."


def redacted(text: str) -> str:
    """Return ``text`` with the user and password of every URL in it struck out."""
    return re.sub(r"[^/@\s\"':]+:[^/@\s\"']*@", "***@", text)


def suggestion(word: str, candidates: t.Iterable[str], cutoff: float = 0.7) -> t.Optional[str]:
    """Return the one of ``candidates`` that ``word`` was probably meant to be."""
    found = difflib.get_close_matches(word.lower(), list(candidates), 1, cutoff)
    return found[0] if found else None


def did_you_mean(word: t.Optional[str]) -> str:
    """Return the question after ``word``, or nothing where no word is close."""
    return f"Did you mean {word}?" if word else ""


def is_address(text: t.Any) -> bool:
    """Whether ``text`` is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return isinstance(text, str)


def is_dns_name(text: str) -> bool:
    """Whether ``text`` may be the name of a node: a DNS-1123 subdomain."""
    return len(text) <= 253 and _DNS_NAME.fullmatch(text) is not None


def _is_host(text: str) -> bool:
    # Four numbers that are no address are a mistyped address and no name, though DNS would take them.
    return is_address(text) or (is_dns_name(text.lower()) and not re.fullmatch(r"[0-9.]+", text))


# ------------------------------------------------------------------------------------------------------------- types


def coerce(option: Option, value: t.Any) -> t.Any:
    """Return ``value`` from a command line, where all is text, as the type of ``option`` where it can be one."""
    if isinstance(value, str):
        if option.get("type") == "int" and re.fullmatch(r"-?[0-9]+", value):
            return int(value)
        if option.get("type") == "bool":
            return _BOOLEANS.get(value.lower(), value)
    return value


def _is_type(kind: str, value: t.Any) -> bool:
    if isinstance(value, bool):
        return kind in ("bool", "raw")
    classes: t.Dict[str, t.Any] = {
        "str": str,
        "path": str,
        "int": int,
        "float": (int, float),
        "bool": bool,
        "list": list,
        "dict": dict,
    }
    return kind == "raw" or isinstance(value, classes[kind])


def type_problem(option: Option, value: t.Any) -> t.Optional[Problem]:
    """Return what is wrong with the type of ``value`` or with its being none of the choices."""
    kind = option.get("type", "str")
    choices = option.get("choices")
    allowed = ", ".join(map(str, choices)) if choices else _TYPE_WORDS[kind]
    if option.get("elements"):
        allowed += " of {}".format(_TYPE_WORDS[option["elements"]])
    if value is None:
        return Problem("it has no value", allowed, "Give it one, or remove the line.")
    if not _is_type(kind, value):
        return Problem(f"this is {_kind_of(value)}", allowed, _type_hint(kind, choices, value))
    if choices and value not in choices:
        several = [word for word in re.split(r"[,+\s]+", str(value)) if word in choices]
        if len(several) > 1:
            return Problem("only one can be had", allowed, "Choose {}.".format(" or ".join(several)))
        close = suggestion(str(value), map(str, choices), 0.6)
        return Problem("it is none of the choices", allowed, did_you_mean(close))
    if option.get("elements"):
        for number, item in enumerate(value, 1):
            if not _is_type(option["elements"], item):
                text = f"item {number} is {shown(item)}, {_kind_of(item)}"
                return Problem(text, allowed, _type_hint(option["elements"], None, item))
    return None


def _kind_of(value: t.Any) -> str:
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, float):
        return "a number"
    names = {str: "text", int: "a whole number", list: "a list", dict: "a mapping", type(None): "nothing"}
    return next((name for cls, name in names.items() if isinstance(value, cls)), type(value).__name__)


def _type_hint(kind: str, choices: t.Optional[t.Sequence[t.Any]], value: t.Any) -> str:
    if kind in ("str", "path") and isinstance(value, bool):
        words = [word for word, meaning in _BOOLEANS.items() if meaning is value and not word.isdigit()]
        meant = next((word for word in words if choices and word in choices), None)
        if meant:
            return f'YAML reads a bare {meant} as a truth value: quote it, "{meant}".'
        return "Quote it if text is meant."
    if choices and isinstance(value, list) and value and all(item in choices for item in value):
        return "Only one can be had: choose {}.".format(" or ".join(map(str, value)))
    if kind in ("str", "path") and isinstance(value, (int, float)):
        return f'Quote it: "{value}".'
    if kind == "list" and isinstance(value, str):
        return "Write a list: [{}].".format(", ".join(re.split(r"[,\s]+", value.strip())))
    if kind in ("int", "bool") and isinstance(value, str) and coerce({"type": kind}, value) is not value:
        return "Write it without quotes: {}.".format(json.dumps(coerce({"type": kind}, value)))
    return ""


# ------------------------------------------------------------------------------------------------------------- forms


def version_problem(value: t.Any, supported: Supported) -> t.Optional[Problem]:
    """Return what is wrong with ``cluster_kubernetes_version``, whose type YAML so easily spoils."""
    minors = ", ".join(supported.releases)
    patches = ", ".join(supported.releases.values())
    allowed = f"{minors}, or one of {patches}"
    if isinstance(value, float):
        text = "YAML reads an unquoted version as a number and drops its last zeros"
        meant = f"{value}"
        if len(meant.split(".")[1]) == 1:
            meant += "0"
        return Problem(text, allowed, f'Quote it: "{meant}".')
    match = _VERSION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return Problem("this is no Kubernetes version", allowed)
    if match[1] not in supported.releases:
        return Problem("this version is not supported", allowed)
    if value.startswith("v"):
        return Problem("it is written without a v", allowed, f'Did you mean "{value[1:]}"?')
    if match[2] and value != supported.releases[match[1]]:
        text = f"the catalogue holds another patch release of {match[1]}"
        return Problem(text, allowed, f'Did you mean "{supported.releases[match[1]]}"?')
    return None


def _name(value: str) -> Problems:
    if not _DNS_LABEL.fullmatch(value):
        yield Problem("this is no DNS label", "up to 63 lower-case letters, digits and '-'", _lower_case_hint(value))


def _lower_case_hint(value: str) -> str:
    candidate = re.sub(r"[^a-z0-9.]+", "-", value.lower()).strip("-.")
    return did_you_mean(candidate) if candidate != value and is_dns_name(candidate) else ""


def _domain(value: str) -> Problems:
    if not is_dns_name(value):
        yield Problem("this is no DNS domain", "a domain as cluster.local", _lower_case_hint(value))


def split_endpoint(value: str) -> t.Tuple[str, t.Optional[int]]:
    """Return host and port of an endpoint. Raises ValueError where it is neither ``host`` nor ``host:port``."""
    if is_address(value):
        return value, None
    match = re.fullmatch(r"(?:\[(?P<six>[^\]]*)\]|(?P<host>[^:\[\]/\s]+))(?::(?P<port>[0-9]+))?", value)
    host = (match["six"] or match["host"]) if match else None
    if match is None or not host or not _is_host(host) or (match["six"] and not is_address(match["six"])):
        raise ValueError(value)
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 1 <= port <= 65535:
        raise ValueError(value)
    return host, port


def _endpoint(value: str) -> Problems:
    if not value:
        return
    try:
        split_endpoint(value)
    except ValueError:
        bare = re.sub(r"^[a-z]+://", "", value).rstrip("/")
        hint = ""
        if bare != value:
            hint = f"Leave the scheme and slashes away: {bare}."
        yield Problem("this is no endpoint", "a host name or address, with or without :port (1 to 65535)", hint)


def _port(value: int) -> Problems:
    if not 1 <= value <= 65535:
        yield Problem("this is no port", "1 to 65535", "Kubernetes' own choice is 6443.")
    elif value in PORTS_IN_USE:
        yield Problem(f"this port belongs to {PORTS_IN_USE[value]}", "a port of its own", "The usual one is 6443.")


def _virtual_ip(value: str) -> Problems:
    allowed = "one IPv4 address, without a prefix length or port"
    if not value:
        return
    bare = value.split("/")[0]
    if not is_address(bare):
        hint = "A name belongs into cluster_endpoint." if _is_host(value) else ""
        yield Problem("this is no IP address", allowed, hint)
    elif ":" in bare:
        yield Problem("a virtual IP of IPv6 is not supported", allowed)
    elif bare != value:
        yield Problem("it has a prefix length", allowed, did_you_mean(bare))
    elif not _is_for_machines(ipaddress.ip_address(value)):
        yield Problem("no machine can have this address", allowed, "Set a free address in the load balancers' network.")


def _is_for_machines(address: t.Union[ipaddress.IPv4Address, ipaddress.IPv6Address]) -> bool:
    # In a network larger than a /24 a machine may have an address that ends in 0; nobody would choose it to be shared.
    special = address.is_loopback or address.is_unspecified or address.is_multicast or address.is_reserved
    return not special and not str(address).endswith(".0")


def _interface(value: str) -> Problems:
    if value and (not re.fullmatch(r"[^\s/:]{1,15}", value) or value in (".", "..")):
        bare = re.sub(r"^/dev/|:.*$", "", value.strip())
        hint = did_you_mean(bare) if bare != value and re.fullmatch(r"[^\s/:]{1,15}", bare) else ""
        yield Problem("this is no name of a network interface", "up to 15 letters without '/', ':' and spaces", hint)


def _virtual_router_id(value: int) -> Problems:
    if not 0 <= value <= 255:
        yield Problem("this is no virtual router id", "1 to 255, or 0 for the last number of cluster_virtual_ip")


def _load_balancer_port(value: int) -> Problems:
    if not 0 <= value <= 65535:
        yield Problem("this is no port", "1 to 65535, or 0 for 6443 (8443 on control planes)")
    elif value == 22:
        yield Problem(f"this port belongs to {PORTS_IN_USE[value]}", "a port of its own", "The usual one is 6443.")


def _haproxy_config(value: t.Mapping[str, t.Any]) -> Problems:
    for section, lines in value.items():
        if section not in HAPROXY_SECTIONS:
            hint = did_you_mean(suggestion(str(section), HAPROXY_SECTIONS, 0.6))
            yield Problem(f"{shown(section)} is no section that takes lines", ", ".join(HAPROXY_SECTIONS), hint)
        elif not isinstance(lines, list):
            hint = f"Write a list: {section}: [{shown(lines)}]." if isinstance(lines, str) else ""
            yield Problem(f"{section} is {_kind_of(lines)}", "a list of lines", hint)
        else:
            for line in lines:
                if not isinstance(line, str) or "\n" in line:
                    yield Problem(f"{shown(line)} of {section} is not one line", "a list of lines, each as text")


def _audit_rules(value: t.Sequence[t.Mapping[str, t.Any]]) -> Problems:
    for number, rule in enumerate(value, 1):
        level = rule.get("level")
        if level not in AUDIT_LEVELS:
            said = f"says {shown(level)} for its level" if "level" in rule else "has no level"
            # YAML's own words for nothing are near, and an API server does not start with them.
            hint = did_you_mean(
                "None" if level is None or level is False else suggestion(str(level), AUDIT_LEVELS, 0.6)
            )
            yield Problem(f"rule {number} {said}", ", ".join(AUDIT_LEVELS), hint if "level" in rule else "")
        for key in rule:
            if key not in AUDIT_FIELDS:
                hint = did_you_mean(suggestion(str(key), AUDIT_FIELDS, 0.6))
                yield Problem(
                    f"rule {number} has a field {shown(key)}, which is none of a rule", ", ".join(AUDIT_FIELDS), hint
                )


def _external_etcd(value: t.Mapping[str, t.Any]) -> Problems:
    keys = ("endpoints", *ETCD_FILES)
    meant = {key: suggestion(str(key), keys, 0.6) for key in value if key not in keys}
    for key, close in meant.items():
        yield Problem(f"there is no key {shown(key)}", ", ".join(keys), did_you_mean(close))
    missing = [key for key in keys if not value.get(key) and key not in meant.values()]
    if value and missing:
        yield Problem("{} {} missing".format(", ".join(missing), "is" if len(missing) == 1 else "are"), ", ".join(keys))
    for key in ETCD_FILES:
        if value.get(key) and not isinstance(value[key], str):
            yield Problem(f"{key} is {shown(value[key])}", "the path of a file on the controller")
    yield from _etcd_endpoints(value.get("endpoints") or [])


def _etcd_endpoints(value: t.Any) -> Problems:
    allowed = "a list of URLs, as https://etcd-1.example.org:2379"
    if not isinstance(value, list):
        yield Problem(f"endpoints is {_kind_of(value)}", allowed, _type_hint("list", None, value))
        return
    for url in value:
        if not isinstance(url, str) or _url_problem(url) or urlsplit(url).scheme != "https" or not urlsplit(url).port:
            yield Problem(f"{shown(url)} of endpoints is no https:// URL with a port", allowed, _etcd_hint(url))


def _etcd_hint(url: t.Any) -> str:
    host = re.sub(r"^[^/]*://|/.*$", "", url) if isinstance(url, str) else ""
    name, _colon, port = host.partition(":")
    return did_you_mean(f"https://{name}:{port or 2379}") if _is_host(name) and re.fullmatch("[0-9]*", port) else ""


def parse_range(value: str) -> t.Tuple[int, int]:
    """Return first and last port of a range. Raises ValueError where ``value`` is none."""
    match = re.fullmatch(r"([0-9]+)-([0-9]+)", value)
    if match is None:
        raise ValueError(value)
    first, last = int(match[1]), int(match[2])
    if not 1 <= first <= last <= 65535:
        raise ValueError(value)
    return first, last


def _port_range(value: str) -> Problems:
    try:
        parse_range(value)
    except ValueError:
        numbers = re.findall(r"[0-9]+", value)
        hint = ""
        if len(numbers) == 2 and 1 <= int(numbers[0]) <= 65535 and 1 <= int(numbers[1]) <= 65535:
            hint = did_you_mean("{}-{}".format(*sorted(numbers, key=int)))
        yield Problem("this is no range of ports", "first-last within 1 to 65535, as 30000-32767", hint)


def _cidr(value: str) -> Problems:
    allowed = "one range in CIDR form, as 10.244.0.0/16"
    if "," in value:
        yield Problem("this is more than one range", allowed, "Two address families in one cluster are not supported.")
        return
    try:
        loose = ipaddress.ip_network(value, strict=False)
    except ValueError:
        yield Problem("this is no address range", allowed)
        return
    if "/" not in value:
        yield Problem("it has no prefix length", allowed, did_you_mean(value + "/16") if loose.version == 4 else "")
    elif str(loose.network_address) != str(ipaddress.ip_address(value.split("/")[0])):
        yield Problem("the address is not the first of its range", allowed, did_you_mean(str(loose)))


def parse_cidr(value: t.Any) -> t.Optional[t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]]:
    """Return the range that ``value`` means, where it is one."""
    if not isinstance(value, str) or "/" not in value:
        return None
    try:
        return ipaddress.ip_network(value, strict=False)
    except ValueError:
        return None


def calico_minor(value: t.Any) -> t.Optional[int]:
    """The second number of a release of Calico 3; None where the value names none."""
    match = _CALICO_VERSION.fullmatch(value) if isinstance(value, str) else None
    return int(match[1]) if match else None


def _calico_version(value: str) -> Problems:
    allowed = (
        f"releases from 3.{CALICO_MINORS[0]}.0 on and before 3.{CALICO_MINORS[-1] + 1}, or nothing for the catalogue's"
    )
    minor = calico_minor(value)
    if value and minor is None:
        yield Problem("this is no release of Calico 3", allowed)
    elif minor is not None and minor not in CALICO_MINORS:
        yield Problem("this release is laid out in another way than the role knows", allowed)
    elif value.startswith("v"):
        yield Problem("it is written without a v", allowed, f'Did you mean "{value[1:]}"?')


def _service_cidr(value: str) -> Problems:
    problems = list(_cidr(value))
    yield from problems
    network = parse_cidr(value)
    if network is None or problems:
        return
    bits = network.max_prefixlen - network.prefixlen
    widest = network.max_prefixlen - 20
    if bits > 20:
        hint = did_you_mean(f"{network.network_address}/{widest}")
        yield Problem("the range is larger than the API server takes", f"/{widest} or longer", hint)
    elif bits < 4:
        allowed = f"/{network.max_prefixlen - 4} or shorter"
        yield Problem("the range is smaller than kubeadm takes", allowed, "A usual one is 10.96.0.0/12.")


def _feature_gates(value: t.Mapping[str, t.Any]) -> Problems:
    for name, enabled in value.items():
        if not isinstance(enabled, bool):
            meant = _BOOLEANS.get(str(enabled).lower())
            hint = "" if meant is None else f"Did you mean {name}: {json.dumps(meant)}?"
            yield Problem(f"{name} is {shown(enabled)}", "true or false for each gate, without quotes", hint)
        if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", str(name)):
            yield Problem(f"{name} is no name of a feature gate", "names as SidecarContainers")


def _node_address(value: str) -> Problems:
    if not value:
        return
    if not is_address(value):
        allowed = "an IPv4 or IPv6 address, without a prefix length or port"
        bare = value.split("/")[0]
        yield Problem("this is no IP address", allowed, did_you_mean(bare) if is_address(bare) else "")
        return
    address = ipaddress.ip_address(value)
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        yield Problem("other nodes cannot reach this address", "the address of a network card of the host")


def _labels(value: t.Mapping[str, t.Any]) -> Problems:
    for name, content in value.items():
        if not isinstance(name, str) or not _QUALIFIED_NAME.fullmatch(name):
            yield Problem(f"{shown(name)} is no name of a label", "names as disk or example.org/disk")
        elif not _is_for_kubelets(name):
            text = f"{name} is a label that a node may not give itself"
            yield Problem(text, "names outside kubernetes.io and k8s.io, or those of node.kubernetes.io")
        if not isinstance(content, str):
            hint = f'Quote it: {name}: "{str(content).lower() if isinstance(content, bool) else content}".'
            yield Problem(f"{name} is {shown(content)}, and a label's value is text", "text", hint)
        elif not _QUALIFIED_VALUE.fullmatch(content):
            allowed = "up to 63 letters, digits, '-', '_' and '.'"
            yield Problem(f"{shown(content)} of {name} is no value of a label", allowed)


def _is_for_kubelets(name: str) -> bool:
    namespace = name.split("/")[0] if "/" in name else ""
    reserved = re.fullmatch(r"(.*\.)?(kubernetes|k8s)\.io", namespace) is not None
    own = re.fullmatch(r"(.*\.)?({})".format("|".join(map(re.escape, _KUBELET_NAMESPACES))), namespace) is not None
    return not reserved or own or name in _KUBELET_LABELS


def _taints(value: t.Sequence[str]) -> Problems:
    allowed = "key=value:Effect or key:Effect, Effect one of {}".format(", ".join(TAINT_EFFECTS))
    for taint in value:
        match = re.fullmatch(r"([^=:]+)(?:=([^:]*))?:(\w+)", taint)
        if match is None or not _QUALIFIED_NAME.fullmatch(match[1]) or not _QUALIFIED_VALUE.fullmatch(match[2] or ""):
            yield Problem(f"{shown(taint)} is no taint", allowed)
        elif match[3] not in TAINT_EFFECTS:
            lowered = {effect.lower(): effect for effect in TAINT_EFFECTS}
            close = suggestion(match[3], lowered, 0.6)
            text = f"{match[3]} of {shown(taint)} is no effect"
            yield Problem(text, allowed, did_you_mean(lowered[close] if close else None))


def _sans(value: t.Sequence[str]) -> Problems:
    for name in value:
        if not _is_host(name.removeprefix("*.")):
            bare = re.sub(r"^[a-z]+://", "", name).split("/")[0].rsplit(":", 1)[0]
            hint = did_you_mean(bare) if bare != name and _is_host(bare) else ""
            yield Problem(f"{shown(name)} is no name or address", "DNS names and IP addresses, without ports", hint)


def _url_problem(value: str) -> t.Optional[Problem]:
    allowed = "an http:// or https:// URL"
    try:
        parts = urlsplit(value)
        host, _port_is_a_number = parts.hostname, parts.port
    except ValueError:
        return Problem(f"{shown(value)} is no URL", allowed)
    if parts.scheme not in ("http", "https") or not host:
        bare = re.sub(r"^[^/]*://", "", value).strip("/")
        return Problem(f"{shown(value)} is no URL", allowed, did_you_mean("http://" + bare) if bare else "")
    if re.search(r"\s", value) or not _is_host(host):
        return Problem(f"{shown(value)} names no host", allowed)
    return None


def _url(value: str) -> Problems:
    problem = _url_problem(value) if value else None
    if problem:
        yield problem._replace(text=problem.text.replace(shown(value), "this", 1))


def _registry_mirrors(value: t.Mapping[str, t.Any]) -> Problems:
    for registry, urls in value.items():
        bare = re.sub(r"^[a-z]+://", "", str(registry)).split("/")[0]
        if bare != registry or not _is_host(bare.rsplit(":", 1)[0]):
            allowed = "the host name of a registry, as docker.io"
            yield Problem(f"{shown(registry)} is no registry", allowed, did_you_mean(bare if bare != registry else ""))
        if not isinstance(urls, list):
            hint = f'Write a list: {registry}: ["{urls}"].' if isinstance(urls, str) else ""
            yield Problem(f"{shown(urls)} of {registry} is no list", "a list of URLs", hint)
            continue
        for url in urls:
            problem = _url_problem(url) if isinstance(url, str) else Problem(f"{shown(url)} is no URL")
            if problem:
                yield problem._replace(text=f"for {registry}, {problem.text}")


def _image_repository(value: str) -> Problems:
    if not value:
        return
    bare = re.sub(r"^[a-z]+://", "", value).rstrip("/")
    if bare != value or not _REPOSITORY.fullmatch(value):
        allowed = "host[:port]/path without a scheme, tag or slash at the end"
        hint = did_you_mean(bare) if bare != value and _REPOSITORY.fullmatch(bare) else ""
        yield Problem("this is no image repository", allowed, hint)


def _no_proxy(value: t.Sequence[str]) -> Problems:
    for item in value:
        if "," in item:
            yield Problem(f"{shown(item)} holds more than one", "one name, address or range in each item")
        elif not item or re.search(r"[\s/]|://", re.sub(r"/[0-9]+$", "", item)):
            yield Problem(f"{shown(item)} is no name, address or range", "as .example.org, 10.0.0.1 or 10.0.0.0/8")


def _users(value: t.Sequence[str]) -> Problems:
    for name in value:
        if not _USER.fullmatch(name):
            yield Problem(f"{shown(name)} is no name of an account", "names as root or ada")


def _kubeconfig(value: str) -> Problems:
    if value.endswith("/"):
        yield Problem("this is a folder", "the path of a file", did_you_mean(value + "admin.conf"))


def _document(variable: str, value: t.Mapping[str, t.Any]) -> Problems:
    api, kind = _DOCUMENTS[variable]
    given = value.get("apiVersion")
    if given is not None and given != api:
        text = f"apiVersion {given} is not read any more" if "kubeadm" in api else f"apiVersion is {given}"
        yield Problem(text, api, "Leave apiVersion and kind away: they are set for you.")
    if value.get("kind") not in (None, kind):
        yield Problem("kind is {}".format(value["kind"]), kind, "Each kind has a variable of its own.")


def _own_variables(variable: str, value: t.Mapping[str, t.Any]) -> Problems:
    for path, name in _OWN_VARIABLES.get(variable, {}).items():
        inner: t.Any = value
        for key in path:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if inner is not None:
            yield Problem("{} has a variable of its own".format(".".join(path)), "any other field", f"Set {name}.")


def _kubeadm(variable: str, value: t.Mapping[str, t.Any]) -> Problems:
    kind, fields = KUBEADM_FIELDS[variable]
    for key in value:
        if key in fields or key in ("apiVersion", "kind"):
            continue
        home = next((other for other, (_kind, names) in KUBEADM_FIELDS.items() if key in names), None)
        by_lower = {name.lower(): name for name in fields}
        close = suggestion(str(key), by_lower)
        hint = f"It belongs into {home}." if home else did_you_mean(by_lower[close] if close else None)
        yield Problem(f"{kind} has no field {key}", ", ".join(sorted(fields)), hint)
    for where, arguments in _extra_arguments(value):
        if isinstance(arguments, dict):
            first = next(iter(arguments.items()), ("name", "value"))
            hint = 'Write [{{name: {}, value: "{}"}}].'.format(*first)
            yield Problem(f"{where} is a mapping, as it was in v1beta3", "a list of name and value", hint)


def _lifetimes(value: t.Mapping[str, t.Any]) -> Problems:
    for key, longest in _LIFETIMES.items():
        if key not in value:
            continue
        try:
            hours = seconds(str(value[key])) / 3600
        except KubesteadError:
            yield Problem(
                f"{key} is {shown(value[key])}, which is no duration", "hours, minutes and seconds as in 720h30m"
            )
            continue
        if not 0 < hours <= longest:
            text = f"{key} is {shown(value[key])}: a certificate that is good for long is one that nobody knows how to renew"
            yield Problem(
                text, f"up to {longest}h", "`kubestead certs renew` renews certificates without an interruption."
            )


def _extra_arguments(value: t.Mapping[str, t.Any]) -> t.Iterator[t.Tuple[str, t.Any]]:
    for part, key in (
        ("apiServer", "extraArgs"),
        ("controllerManager", "extraArgs"),
        ("scheduler", "extraArgs"),
        ("nodeRegistration", "kubeletExtraArgs"),
    ):
        if isinstance(value.get(part), dict) and key in value[part]:
            yield f"{part}.{key}", value[part][key]
    etcd = value.get("etcd")
    local = etcd.get("local") if isinstance(etcd, dict) else None
    if isinstance(local, dict) and "extraArgs" in local:
        yield "etcd.local.extraArgs", local["extraArgs"]


def _containerd_config(value: t.Mapping[str, t.Any]) -> Problems:
    if value.get("version", 3) != 3:
        yield Problem("version is {}".format(shown(value["version"])), "3", "Leave version away: it is set for you.")
    plugins = value.get("plugins")
    old = "io.containerd.grpc.v1.cri"
    if isinstance(plugins, dict) and isinstance(plugins.get(old), dict):
        moved = sorted({"containerd", "registry", "sandbox_image", "cni"} & set(plugins[old]))
        if moved:
            allowed = "io.containerd.cri.v1.runtime and io.containerd.cri.v1.images"
            text = "{} of {} is containerd 1's place for it".format(", ".join(moved), old)
            yield Problem(text, allowed, "Write it as format 3 does.")


def _docker_config(value: t.Mapping[str, t.Any]) -> Problems:
    if "hosts" in value:
        text = "Docker does not start with hosts in this file, since its service gives them too"
        yield Problem(text, "", "Take it out; a drop-in of docker.service can change the service's own.")
    driver = value.get("exec-opts", ["native.cgroupdriver=systemd"])
    if not isinstance(driver, list) or "native.cgroupdriver=systemd" not in driver:
        text = "exec-opts takes Docker from systemd's cgroup driver, which the kubelet has"
        yield Problem(text, "a list with native.cgroupdriver=systemd in it")
    options = value.get("log-opts")
    wrong = (
        {name: one for name, one in options.items() if not isinstance(one, str)} if isinstance(options, dict) else {}
    )
    for name, one in wrong.items():
        yield Problem(f"{name} of log-opts is {shown(one)}", "texts", f'Quote it: {name}: "{one}".')


def _preflight_ignore(value: t.Sequence[str], known: t.Optional[t.Collection[str]]) -> Problems:
    if known is None:
        return
    for name in value:
        if name not in known:
            yield Problem(
                f"{name} is no finding of preflight", ", ".join(sorted(known)), did_you_mean(suggestion(name, known))
            )


_FORMS: t.Dict[str, t.Callable[[t.Any], Problems]] = {
    "cluster_name": _name,
    "cluster_endpoint": _endpoint,
    "cluster_api_port": _port,
    "cluster_virtual_ip": _virtual_ip,
    "cluster_virtual_ip_interface": _interface,
    "cluster_virtual_router_id": _virtual_router_id,
    "cluster_load_balancer_port": _load_balancer_port,
    "cluster_haproxy_config": _haproxy_config,
    "cluster_external_etcd": _external_etcd,
    "cluster_audit_rules": _audit_rules,
    "cluster_extra_sans": _sans,
    "cluster_pod_cidr": _cidr,
    "cluster_service_cidr": _service_cidr,
    "cluster_dns_domain": _domain,
    "cluster_node_port_range": _port_range,
    "cluster_calico_version": _calico_version,
    "cluster_feature_gates": _feature_gates,
    "cluster_node_address": _node_address,
    "cluster_node_labels": _labels,
    "cluster_node_taints": _taints,
    "cluster_containerd_config": _containerd_config,
    "cluster_docker_config": _docker_config,
    "cluster_docker_users": _users,
    "cluster_mirror_url": _url,
    "cluster_packages_url": _url,
    "cluster_containerd_packages_url": _url,
    "cluster_registry_mirrors": _registry_mirrors,
    "cluster_image_repository": _image_repository,
    "cluster_http_proxy": _url,
    "cluster_https_proxy": _url,
    "cluster_no_proxy": _no_proxy,
    "cluster_admin_users": _users,
    "cluster_kubeconfig_path": _kubeconfig,
}


def problems(variable: str, option: Option, value: t.Any, supported: Supported) -> Problems:
    """Yield what is wrong with ``value`` of ``variable``, looked at alone; its form only where its type is right."""
    if variable == "cluster_kubernetes_version" and value is not None:
        problem = version_problem(value, supported)
        if problem:
            yield problem
        return
    wrong_type = type_problem(option, value)
    if wrong_type:
        yield wrong_type
        return
    if variable in _FORMS:
        yield from _FORMS[variable](value)
    if variable in _DOCUMENTS:
        yield from _document(variable, value)
        yield from _own_variables(variable, value)
    if variable in KUBEADM_FIELDS:
        yield from _kubeadm(variable, value)
        yield from _lifetimes(value)
    if variable == "cluster_preflight_ignore":
        yield from _preflight_ignore(value, supported.preflight)
