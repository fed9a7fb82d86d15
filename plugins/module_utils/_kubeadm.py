# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubeadm: its configuration, its phases and their times, its tokens, and what can be said when it fails."""

from __future__ import annotations

import datetime
import glob
import json
import os
import re
import secrets
import string
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._command import (
    KubesteadError,
    Outcome,
    Tool,
    json_documents,
    last_lines,
)

ADMIN_CONF = "/etc/kubernetes/admin.conf"
API_VERSION = "kubeadm.k8s.io/v1beta4"
TOKEN = re.compile(r"\b([a-z0-9]{6})\.([a-z0-9]{16})\b")
_CERTIFICATE_KEY = re.compile(r"\b[0-9a-f]{64}\b")
_PIN = re.compile(r"sha256:[0-9a-f]{64}")
_PHASE = re.compile(r"^\[([a-z][a-z0-9-]*)\] ")
# kubeadm prints these within a phase, for a part of it or for what it waits for.
_PARTS = frozenset({"init", "patches", "kubelet", "kubelet-check", "control-plane-check", "apiclient", "discovery"})
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_KLOG = re.compile(r"^([IWEF])\d{4} [\d:.]+\s+\d+ (\S+?:\d+\]) ?")
_STACK_TRACE_ADVICE = "To see the stack trace of this error execute with --v=5 or higher"
_TROUBLE = re.compile(r"error|fail|fatal|denied|refused|invalid|unable|cannot|panic|exceeded", re.IGNORECASE)


def seconds(duration: str) -> float:
    """The seconds of a duration as Go writes it (90s, 30m, 1h30m); 0 stays 0."""
    if duration.strip() == "0":
        return 0.0
    parts = _DURATION.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration.strip():
        raise KubesteadError(f"{duration!r} is not a duration. Write it like 30m, 24h or 1h30m; 0 means for ever.")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def new_token() -> str:
    """A random bootstrap token, from the system's source of randomness."""
    alphabet = string.ascii_lowercase + string.digits
    return ".".join("".join(secrets.choice(alphabet) for _position in range(length)) for length in (6, 16))


def without_secrets(text: str) -> str:
    """The text with bootstrap tokens and certificate keys blotted out; pins of authorities stay, they are public."""
    text = TOKEN.sub(lambda match: f"{match.group(1)}.****************", text)
    pins = _PIN.findall(text)
    text = _PIN.sub("\0", text)
    text = _CERTIFICATE_KEY.sub("****************", text)
    for pin in pins:
        text = text.replace("\0", pin, 1)
    return text


def merged(base: t.Mapping[str, t.Any], over: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """A new mapping: base, and over it key by key, nested mappings merged, everything else replaced."""
    result = dict(base)
    for key, value in over.items():
        inner = result.get(key)
        if isinstance(inner, dict) and isinstance(value, dict):
            result[key] = merged(inner, value)
        else:
            result[key] = value
    return result


def multi_document(documents: t.Iterable[t.Mapping[str, t.Any]]) -> str:
    """The documents as one YAML stream (each of them written as JSON, which is YAML)."""
    return "---\n".join(json.dumps(document, indent=1, sort_keys=True) + "\n" for document in documents)


# What the modules that run init, join and upgrade take for kubeadm's flags; documented in the fragment options.kubeadm_flags.
FLAG_OPTIONS: dict[str, dict[str, t.Any]] = {
    "patches_directory": {"type": "path"},
    "ignore_preflight_errors": {"type": "list", "elements": "str", "default": []},
    "skip_phases": {"type": "list", "elements": "str", "default": []},
}


def list_flags(params: t.Mapping[str, t.Any]) -> list[str]:
    """Kubeadm's flags for the options that are lists."""
    arguments = []
    for flag, values in (
        ("--ignore-preflight-errors", params["ignore_preflight_errors"]),
        ("--skip-phases", params["skip_phases"]),
    ):
        if values:
            arguments += [flag, ",".join(values)]
    return arguments


class PhaseClock:
    """Turns the lines that kubeadm prints, `[certs] Generating …`, and their moments into the time of each phase."""

    def __init__(self, phase: t.Pattern[str] = _PHASE, parts: t.Collection[str] = _PARTS) -> None:
        self._phase = phase
        self._parts = parts
        self._started: list[tuple[str, float]] = []

    def line(self, text: str, moment: float) -> None:
        """Take note of a line that was printed at this moment, in seconds."""
        match = self._phase.match(text)
        if not match or match.group(1) in self._parts:
            return
        if not self._started or self._started[-1][0] != match.group(1):
            self._started.append((match.group(1), moment))

    def phases(self, end: float) -> list[dict[str, t.Any]]:
        """Name and seconds of each phase, in the order in which they began; a phase that came back is counted once."""
        spent: dict[str, float] = {}
        moments = [*(moment for _name, moment in self._started[1:]), end]
        for (name, moment), following in zip(self._started, moments):
            spent[name] = spent.get(name, 0.0) + following - moment
        return [{"name": name, "seconds": round(value, 2)} for name, value in spent.items()]


class Kubeadm(Tool):
    """The kubeadm of this node."""

    name = "kubeadm"

    def version(self) -> str:
        """Its version, without the leading v."""
        answer = self.run_json("version", "-o", "json")[0]
        return str(answer["clientVersion"]["gitVersion"]).lstrip("v")

    def validate(self, path: str) -> list[str]:
        """Check a configuration file; gives kubeadm's warnings, raises its errors."""
        outcome = self.run("config", "validate", "--config", path, check=False)
        if outcome.rc != 0:
            said = last_lines(without_secrets(outcome.stderr or outcome.stdout).replace(_STACK_TRACE_ADVICE, ""), 12)
            raise KubesteadError(
                f"kubeadm does not accept its configuration; nothing was changed on this node. It says: {said}\n"
                "Look at the variables that are merged into it (cluster_kubeadm_*_config, cluster_kubelet_config, "
                "cluster_kube_proxy_config, cluster_feature_gates)."
            )
        lines = [_KLOG.sub("", line).strip() for line in outcome.stderr.splitlines()]
        return [line for line in lines if line]

    def reset(self, cri_socket: t.Optional[str] = None, keep_etcd: bool = False) -> Outcome:
        """Undo what kubeadm did on this node.

        Etcd is kept where kubeadm did not make it: it would look for members of its own for a minute, then empty
        /var/lib/etcd.
        """
        options = [f"--cri-socket={cri_socket}"] if cri_socket else []
        options += ["--skip-phases=remove-etcd-member"] if keep_etcd else []
        return self.run("reset", "--force", *options, timeout=300)

    def tokens(self, kubeconfig: str) -> list[dict[str, t.Any]]:
        """All bootstrap tokens of the cluster, with their secrets."""
        outcome = self.run("token", "list", "-o", "json", "--kubeconfig", kubeconfig, advice=_token_advice(kubeconfig))
        return [document for document in json_documents(outcome.stdout) if isinstance(document, dict)]

    def create_token(
        self, kubeconfig: str, ttl: str, description: str, usages: t.Sequence[str], groups: t.Sequence[str]
    ) -> str:
        """Have kubeadm make up a token and store it in the cluster; gives the token."""
        outcome = self.run(
            *("token", "create", "--kubeconfig", kubeconfig, "--ttl", ttl, "--description", description),
            *("--usages", ",".join(usages), "--groups", ",".join(groups)),
            check=False,
        )
        match = TOKEN.search(outcome.stdout)
        if outcome.rc != 0 or not match:
            raise outcome._replace(stdout=without_secrets(outcome.stdout)).error(_token_advice(kubeconfig))
        return match.group(0)

    def delete_token(self, kubeconfig: str, token_id: str, check: bool = True) -> bool:
        """Delete a token by its public id; whether that worked."""
        outcome = self.run(
            "token",
            "delete",
            token_id,
            "--kubeconfig",
            kubeconfig,
            check=check,
            timeout=60,
            advice=_token_advice(kubeconfig),
        )
        return outcome.rc == 0


def _token_advice(kubeconfig: str) -> str:
    return f"Tokens are kept by the API server: run this on a control plane whose API server answers to {kubeconfig}."


def token_summary(token: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What may be shown of a token that kubeadm lists."""
    return {
        "id": str(token["token"]).split(".", maxsplit=1)[0],
        "description": token.get("description", ""),
        "expires": token.get("expires"),
        "usages": token.get("usages", []),
        "groups": token.get("groups", []),
    }


def seconds_left(token: t.Mapping[str, t.Any], now: datetime.datetime) -> float:
    """For how long a listed token is still good; infinite where it never expires."""
    expires = token.get("expires")
    if not expires:
        return float("inf")
    moment = datetime.datetime.strptime(str(expires), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
    return (moment - now).total_seconds()


def meaningful(lines: t.Iterable[str], count: int) -> list[str]:
    """The last lines that tell of trouble, without repetitions and without what differs between repetitions."""
    found: dict[str, str] = {}
    for line in lines:
        match = _KLOG.match(line)
        text = _KLOG.sub("", line).strip()
        if not text or (match and match.group(1) == "I"):
            continue
        if not (match and match.group(1) in "EF") and not _TROUBLE.search(text):
            continue
        key = re.sub(r"[0-9a-f]{8,}|\d+", "#", text)[:160]
        found.pop(key, None)
        found[key] = without_secrets(text)[:600]
    return list(found.values())[-count:]


def kubelet_trouble(module: t.Any, count: int = 6) -> list[str]:
    """The last meaningful lines of the kubelet's journal."""
    journalctl = module.get_bin_path("journalctl")
    if not journalctl:
        return []
    _rc, stdout, _stderr = module.run_command(
        [journalctl, "--unit=kubelet", "--output=cat", "--no-pager", "--lines=400"],
        environ_update={"LC_ALL": "C"},
        errors="surrogate_then_replace",
    )
    return meaningful(stdout.splitlines(), count)


def static_pod_trouble(directory: str = "/var/log/pods", count: int = 4) -> dict[str, list[str]]:
    """For each container of the control plane, the last meaningful lines of its newest log."""
    trouble: dict[str, list[str]] = {}
    for name in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        logs = glob.glob(os.path.join(directory, f"kube-system_{name}-*", name, "*.log"))
        if not logs:
            continue
        with open(max(logs, key=os.path.getmtime), encoding="utf-8", errors="replace") as handle:
            lines = handle.readlines()[-300:]
        # A line of the container runtime's log: time, stream, F or P, and what the container wrote.
        texts = [line.split(" ", 3)[-1] for line in lines]
        last = meaningful(texts, count) or [without_secrets(text.strip())[:600] for text in texts[-2:]]
        if last:
            trouble[name] = last
    return trouble


def explain(module: t.Any, error: KubesteadError, operation: str, recovery: str) -> KubesteadError:
    """The error of a failed kubeadm, with what the kubelet and the static pods complained of and the way out."""
    kubelet = kubelet_trouble(module)
    pods = static_pod_trouble()
    parts = [without_secrets(error.message)]
    if kubelet:
        parts.append("The kubelet's last complaints:\n" + "\n".join(f"  {line}" for line in kubelet))
    for name, lines in pods.items():
        parts.append(f"{name}'s last complaints:\n" + "\n".join(f"  {line}" for line in lines))
    parts.append(recovery)
    details = {key: without_secrets(value) if isinstance(value, str) else value for key, value in error.details.items()}
    return KubesteadError("\n".join(parts), operation=operation, kubelet_log=kubelet, pod_logs=pods, **details)
