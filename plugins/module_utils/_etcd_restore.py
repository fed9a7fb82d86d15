# Copyright (c) 2026, Kubestead contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A member of etcd made from a snapshot, step by step, so that all members of the new cluster take each step together."""

from __future__ import annotations

import contextlib
import datetime
import glob
import os
import re
import shutil
import typing as t

from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError, Tool
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd import Etcd
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd_snapshot import (
    AUTHORITY,
    RESERVE,
    authority_hashes,
    free_space,
    mebibytes,
    read,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._kubernetes_state import (
    CONTROL_PLANE_PODS,
    KubernetesState,
    read_text,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._objects import is_ready
from ansible_collections.kubestead.cluster.plugins.module_utils._static_pod_manifests import StaticPodManifests
from ansible_collections.kubestead.cluster.plugins.module_utils._waiter import wait_for

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

IMAGE_MOUNT = "/run/kubestead-etcd-image"
UNCHANGED = "Nothing was changed."
KEYS = "/etc/kubernetes/encryption/configuration.yaml"
_ENCRYPTION = re.compile(r"--encryption-provider-config=([^\s\"']+)")
# Of whatever kind, also in a file that somebody else wrote.
_KEY_NAME = re.compile(r"^\s*(?:-\s+)?name:\s*[\"']?([^\s\"'#]+)", re.MULTILINE)
_ARGUMENT = re.compile(r"^\s*- --(name|data-dir|initial-advertise-peer-urls)=(\S+)\s*$", re.MULTILINE)
_IMAGE = re.compile(r"^\s*image:\s*[\"']?([^\s\"']+)", re.MULTILINE)


class Plan(t.NamedTuple):
    """What the manifest says of this node's member."""

    name: str
    peer_url: str
    data: str
    image: str


def plan_of(manifest: t.Optional[str]) -> Plan:
    """Read the manifest that kubeadm wrote."""
    found = dict(_ARGUMENT.findall(manifest or ""))
    image = _IMAGE.search(manifest or "")
    if set(found) != {"name", "data-dir", "initial-advertise-peer-urls"} or not image:
        raise KubesteadError(
            f"{UNCHANGED} This node has no manifest of etcd that tells of its member (/etc/kubernetes/manifests/etcd.yaml). "
            "A snapshot is restored onto control planes that were built: build this one with `kubestead apply` (site.yml) first. If the "
            "cluster's certificate authorities are lost as well, bring those of the backup before that, with `kubestead run "
            "etcd_restore_pki`."
        )
    return Plan(found["name"], found["initial-advertise-peer-urls"], found["data-dir"], image.group(1))


class Ctr(Tool):
    """containerd's own client."""

    name = "ctr"
    package = "containerd.io"


class Docker(Tool):
    """Docker's own client."""

    name = "docker"


class Etcdutl(Tool):
    """etcdutl, out of etcd's image."""

    name = "etcdutl"

    @classmethod
    @contextlib.contextmanager
    def of_image(cls, module: AnsibleModule, image: str, mount: str = IMAGE_MOUNT) -> t.Iterator[Etcdutl]:
        """The program in the image that this node's etcd runs from, which needs nothing else to run."""
        ctr = Ctr(module)
        images = ("--namespace", "k8s.io", "images")
        os.makedirs(mount, mode=0o700, exist_ok=True)
        ctr.run(*images, "unmount", "--rm", mount, check=False)
        ctr.run(*images, "mount", image, mount, advice=f"The image has to be on the node: `crictl pull {image}`.")
        try:
            tool = cls(module)
            tool._path = os.path.join(mount, "usr/local/bin/etcdutl")
            if not os.path.exists(tool.path):
                raise KubesteadError(
                    f"The image {image} has no etcdutl in /usr/local/bin, which comes with etcd 3.6 and newer."
                )
            yield tool
        finally:
            ctr.run(*images, "unmount", "--rm", mount, check=False)
            os.rmdir(mount)

    @classmethod
    @contextlib.contextmanager
    def of_docker_image(cls, module: AnsibleModule, image: str, folder: str = IMAGE_MOUNT) -> t.Iterator[Etcdutl]:
        """The same where the image is Docker's: copied out of a container that never runs."""
        docker = Docker(module)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        advice = f"The image has to be on the node: `crictl pull {image}`."
        container = docker.run("create", image, advice=advice).stdout.strip()
        try:
            docker.run(
                "cp", f"{container}:/usr/local/bin/etcdutl", folder, advice=f"{image} has to be of etcd 3.6 or newer."
            )
            tool = cls(module)
            tool._path = os.path.join(folder, "etcdutl")
            yield tool
        finally:
            docker.run("rm", container, check=False)
            shutil.rmtree(folder, ignore_errors=True)


class Restore:
    """The restore on this node. The steps are methods, in their order."""

    PODS = ("etcd", *CONTROL_PLANE_PODS)

    def __init__(self, module: AnsibleModule, pods: StaticPodManifests, etcd: Etcd, state: KubernetesState) -> None:
        self.module = module
        self.pods = pods
        self.etcd = etcd
        self.state = state
        self.timeout = float(module.params["timeout"])

    def check(self, authorities: t.Sequence[str], size: int, keys: t.Sequence[str] = ()) -> dict[str, t.Any]:
        """Raise where the snapshot cannot be restored here; gives what the other members have to know of this one."""
        if self.state.external_etcd:
            raise KubesteadError(
                f"{UNCHANGED} This cluster keeps its data in an etcd of your own ({', '.join(self.state.external_etcd)}). "
                "Restore that with its own means, such as `etcdutl snapshot restore`."
            )
        plan = plan_of(self.pods.manifest("etcd"))
        self._check_authority(authorities)
        self._check_keys(keys)
        free = free_space(plan.data)
        if free < size + RESERVE:
            raise KubesteadError(
                f"{UNCHANGED} There is too little room in {plan.data}: the snapshot of {mebibytes(size)} is laid beside the data that it "
                f"replaces, and {mebibytes(RESERVE)} are to stay free, but only {mebibytes(free)} are."
            )
        return {"changed": False, "name": plan.name, "peer_url": plan.peer_url, "data_directory": plan.data}

    def _check_authority(self, authorities: t.Sequence[str]) -> None:
        try:
            with open(AUTHORITY, "rb") as handle:
                ours = authority_hashes(handle.read())
        except OSError as error:
            raise KubesteadError(f"{UNCHANGED} This node has no certificate authority: {error}.") from error
        if not authorities:
            raise KubesteadError(
                f"{UNCHANGED} The snapshot does not tell which cluster it is of: it holds no ConfigMap kube-root-ca.crt that can be read, "
                "and no file of the same name with the ending .json lies beside it."
            )
        if not set(ours) & set(authorities):
            raise KubesteadError(
                f"{UNCHANGED} The snapshot is of another cluster: its certificate authority is {_shortened(authorities)}, and that of this "
                f"node is {_shortened(ours)} (SHA-256 of {AUTHORITY}). Give a snapshot of this cluster. On new machines, bring the "
                "authorities that were backed up with it, with etcd_restore_pki.yml, before the cluster is built."
            )

    def _check_keys(self, keys: t.Sequence[str]) -> None:
        """Raise where the API server of this node could not read the Secrets that the snapshot holds."""
        named = _ENCRYPTION.search(self.pods.manifest("kube-apiserver") or "")
        path = named.group(1) if named else ""
        known = _KEY_NAME.findall(read_text(path) or "") if path else []
        missing = [key for key in keys if key not in known]
        if not missing:
            return
        has = f"{path} has {', '.join(known) or 'none'}" if path else "the API server of this node is given none"
        raise KubesteadError(
            f"{UNCHANGED} Nobody could read the Secrets of the snapshot after a restore: they are encrypted with {', '.join(missing)}, "
            f"and {has}. The key was changed since, it seems. The old one is in encryption/configuration.yaml of the .pki.tar.gz of "
            f"that backup: add its two lines, name and secret, as the last under `keys` to {path or KEYS} on every control plane, and "
            "run the same again. docs/etcd.md has the commands."
        )

    def prepare(self, snapshot: str, sha256: str, cluster: t.Sequence[str], token: str, bump: int) -> dict[str, t.Any]:
        """Lay the new data beside the old, which still serves."""
        plan = plan_of(self.pods.manifest("etcd"))
        if read(snapshot).sha256 != sha256:
            raise KubesteadError(f"{UNCHANGED} {snapshot} is not the snapshot that was checked: its hash is another.")
        staging = self._staging(plan)
        os.makedirs(plan.data, mode=0o700, exist_ok=True)
        shutil.rmtree(staging, ignore_errors=True)
        try:
            on_docker = self.state.settings.get("cluster_container_runtime") == "docker"
            of_image = Etcdutl.of_docker_image if on_docker else Etcdutl.of_image
            with of_image(self.module, plan.image) as etcdutl:
                etcdutl.run(
                    *("snapshot", "restore", snapshot, "--data-dir", staging, "--name", plan.name),
                    *("--initial-cluster", ",".join(cluster), "--initial-cluster-token", token),
                    *("--initial-advertise-peer-urls", plan.peer_url),
                    # Clients remember revisions. They have to see that theirs are over, and never one of theirs again. All members
                    # have to count from the same one.
                    *("--bump-revision", str(bump), "--mark-compacted"),
                    advice=f"{UNCHANGED} Etcd serves as before.",
                    timeout=self.timeout,
                )
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        return {"changed": True}

    def replace(self) -> dict[str, t.Any]:
        """Stop the control plane, and put the new data in the place of the old, which is kept."""
        plan = plan_of(self.pods.manifest("etcd"))
        staging, member, mark = self._staging(plan), os.path.join(plan.data, "member"), self._mark(plan)
        if not os.path.isdir(staging):
            raise KubesteadError(
                f"{UNCHANGED} No data was laid ready in {staging}: the step before this one is missing."
            )
        self.pods.stop(self.PODS, self.timeout)
        if os.path.exists(mark):
            shutil.rmtree(member, ignore_errors=True)  # made by a restore that was broken off
        elif os.path.isdir(member):
            kept = os.path.join(plan.data, f"before-restore-{_now()}")
            os.mkdir(kept, 0o700)
            os.rename(member, os.path.join(kept, "member"))
        with open(mark, "w", encoding="utf-8"):
            pass
        os.rename(os.path.join(staging, "member"), member)
        os.rmdir(staging)
        return {"changed": True, "kept": self._kept(plan)}

    def start(self) -> dict[str, t.Any]:
        """Start etcd, then what needs it, and clean up."""
        plan = plan_of(self.pods.manifest("etcd"))
        self.pods.restart_kubelet()
        self.pods.start(["etcd"])
        advice = (
            "The control plane is not up. Remove the cause and run the same again, with the same snapshot or another."
        )
        try:
            wait_for(self._etcd_trouble, lambda trouble: not trouble, "etcd", self.timeout)
            self.pods.start(CONTROL_PLANE_PODS)
            wait_for(
                self.state.api_healthy,
                bool,
                "the API server of this node",
                self.timeout,
                describe=lambda _: "it is not ready",
            )
        except KubesteadError as error:
            raise KubesteadError(f"{error.message}. {advice}") from error
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._mark(plan))
        kept = self._kept(plan)
        for path in self._all_kept(plan)[:-1]:
            shutil.rmtree(path)
        return {"changed": True, "kept": kept}

    def _etcd_trouble(self) -> str:
        try:
            status = self.etcd.status()
        except (KubesteadError, OSError) as error:
            return str(error)
        if status.get("leader", "0") == "0":
            return "it has no leader, which needs more than half of the members"
        return "; ".join(map(str, status.get("errors") or []))

    def _staging(self, plan: Plan) -> str:
        # In the data directory, which may be a disk of its own, so that the data moves in one step.
        return os.path.join(plan.data, ".restoring")

    def _mark(self, plan: Plan) -> str:
        return os.path.join(plan.data, ".restore-unfinished")

    def _kept(self, plan: Plan) -> t.Optional[str]:
        """Where the data is that was replaced last; None where there was none."""
        return next(reversed(self._all_kept(plan)), None)

    def _all_kept(self, plan: Plan) -> list[str]:
        return sorted(glob.glob(os.path.join(glob.escape(plan.data), "before-restore-*")))


class _Kubectl(t.Protocol):
    def get(self, *args: str) -> list[dict[str, t.Any]]: ...


def wait_for_nodes(kubectl: _Kubectl, names: t.Sequence[str], timeout: float, interval: float = 2) -> list[str]:
    """Wait until the nodes are Ready and their kubelets report; gives their names.

    The snapshot holds what they reported before, and says Ready of a node that is long gone.
    """
    first: dict[str, str] = {}

    def missing() -> list[str]:
        try:
            ready = {item["metadata"]["name"] for item in kubectl.get("nodes") if is_ready(item)}
            seen = _reports(kubectl)
        except KubesteadError as error:
            return [error.message]
        for name, moment in seen.items():
            first.setdefault(name, moment)
        return [name for name in names if name not in ready or seen.get(name) in (None, first.get(name))]

    wait_for(
        missing,
        lambda found: not found,
        "the nodes",
        timeout,
        interval,
        lambda found: f"{', '.join(found)} is not ready",
    )
    return list(names)


def _reports(kubectl: _Kubectl) -> dict[str, str]:
    """When each kubelet reported last."""
    leases = kubectl.get("leases", "--namespace=kube-node-lease")
    return {lease["metadata"]["name"]: lease["spec"].get("renewTime", "") for lease in leases}


def _shortened(hashes: t.Sequence[str]) -> str:
    return ", ".join(f"{one[:16]}…" for one in hashes)


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H-%M-%SZ")
