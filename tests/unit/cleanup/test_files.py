from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _cleanup_cluster
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup import Machine
from ansible_collections.kubestead.cluster.plugins.module_utils._cleanup_cluster import (
    ClusterCleanup,
    Kubeconfig,
    without_block,
)
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
AUTHORITY = base64.b64encode(PEM.encode()).decode()


def kubeconfig(*clusters: tuple[str, str, str]) -> str:
    text = "apiVersion: v1\nclusters:\n"
    for name, server, authority in clusters:
        text += f"- cluster:\n    certificate-authority-data: {authority}\n    server: {server}\n  name: {name}\n"
    return text + "contexts:\n- context:\n    cluster: x\n  name: x\nkind: Config\n"


LAB = ("lab", "https://172.29.96.11:6443", AUTHORITY)


def parameters(**changes: Any) -> dict[str, Any]:
    return {
        "cluster_name": "lab",
        "servers": ["172.29.96.11:6443"],
        "pod_cidrs": ["10.244.0.0/16"],
        "admin_users": ["alice"],
        "whole_cluster": True,
        "external_etcd": [],
        **changes,
    }


@pytest.fixture
def alice(monkeypatch: pytest.MonkeyPatch) -> None:
    class Account:
        pw_dir = "/home/alice"

    def find(name: str) -> Account:
        if name != "alice":
            raise KeyError(name)
        return Account()

    monkeypatch.setattr(_cleanup_cluster.pwd, "getpwnam", find)


@pytest.fixture
def cleanup(machine: Callable[..., Machine]) -> Callable[..., ClusterCleanup]:
    def make(check_mode: bool = False, answers: dict[str, Any] | None = None, **changes: Any) -> ClusterCleanup:
        return ClusterCleanup(machine(answers or {}, check_mode), parameters(**changes))

    return make


def test_a_kubelets_kubeconfig_is_read(recorded: Callable[[str], str]) -> None:
    found = Kubeconfig.parse(recorded("kubelet.conf"))
    assert (found.servers, found.name, len(found.authorities)) == (["https://172.29.96.11:6443"], "default-cluster", 1)


def test_the_first_clusters_name_is_read() -> None:
    assert Kubeconfig.parse(kubeconfig(LAB)).name == "lab"
    assert Kubeconfig.parse("").name == ""


def test_only_the_marked_lines_leave_the_hosts_file(recorded: Callable[[str], str]) -> None:
    text = recorded("hosts.txt")
    rest = without_block(text, "lab")
    assert rest is not None
    assert rest == text[: text.index("# BEGIN lab")]
    assert without_block(text, "other") == text
    assert without_block(rest, "lab") == rest


def test_marked_lines_whose_end_is_gone_are_left(
    cleanup: Callable[..., ClusterCleanup], write: Callable[[str, str], Path]
) -> None:
    hosts = write("/etc/hosts", "127.0.0.1 localhost\n# BEGIN lab (Kubestead)\n192.0.2.1 a\n192.0.2.9 mine\n")
    before = hosts.read_text()
    job = cleanup()
    job._clean_hosts()
    assert hosts.read_text() == before
    assert "/etc/hosts" in job.machine.left[0]


def test_a_kubeconfig_of_this_cluster_goes_with_its_cache(
    cleanup: Callable[..., ClusterCleanup], write: Callable[[str, str], Path], root: Path, alice: None
) -> None:
    write("/etc/kubernetes/pki/ca.crt", PEM)
    write("/home/alice/.kube/config", kubeconfig(LAB))
    write("/home/alice/.kube/cache/http/x", "")
    job = cleanup()
    job._clean_kubeconfigs()
    assert not (root / "home/alice/.kube").exists()
    assert (root / "home/alice").exists()


@pytest.mark.parametrize(
    "clusters",
    [
        [("lab", "https://172.29.96.11:6443", "b3RoZXI=")],
        [("prod", "https://192.0.2.1:6443", "b3RoZXI=")],
        [LAB, ("prod", "https://192.0.2.1:6443", "b3RoZXI=")],
    ],
    ids=["same name and server, another authority", "another cluster", "another cluster beside this one"],
)
def test_a_kubeconfig_of_another_cluster_stays(
    cleanup: Callable[..., ClusterCleanup],
    write: Callable[[str, str], Path],
    alice: None,
    clusters: list[tuple[str, str, str]],
) -> None:
    write("/etc/kubernetes/pki/ca.crt", PEM)
    config = write("/home/alice/.kube/config", kubeconfig(*clusters))
    job = cleanup()
    job._clean_kubeconfigs()
    assert config.exists()
    assert job.machine.removed == []
    assert "/home/alice/.kube/config" in job.machine.left[0]


def test_without_the_authority_the_server_tells(
    cleanup: Callable[..., ClusterCleanup], write: Callable[[str, str], Path], alice: None
) -> None:
    config = write("/home/alice/.kube/config", kubeconfig(LAB))
    cleanup()._clean_kubeconfigs()
    assert not config.exists()


def test_an_account_that_is_gone_is_no_error(cleanup: Callable[..., ClusterCleanup], alice: None) -> None:
    cleanup(admin_users=["bob"])._clean_kubeconfigs()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/kubernetes/admin.conf", kubeconfig(("prod", "https://192.0.2.1:6443", AUTHORITY))),
        ("/etc/kubernetes/kubelet.conf", kubeconfig(("default-cluster", "https://192.0.2.1:6443", AUTHORITY))),
    ],
)
def test_a_member_of_another_cluster_is_refused(
    cleanup: Callable[..., ClusterCleanup], write: Callable[[str, str], Path], path: str, text: str
) -> None:
    write(path, text)
    with pytest.raises(KubesteadError, match=r"192\.0\.2\.1:6443.*Nothing was changed"):
        cleanup().refuse_foreign()


def test_this_clusters_members_are_accepted(
    cleanup: Callable[..., ClusterCleanup], write: Callable[[str, str], Path], recorded: Callable[[str], str]
) -> None:
    cleanup().refuse_foreign()
    write("/etc/kubernetes/kubelet.conf", recorded("kubelet.conf"))
    cleanup().refuse_foreign()
    # The endpoint may have been renamed since.
    write("/etc/kubernetes/admin.conf", kubeconfig(LAB))
    cleanup(servers=["api.example:6443"]).refuse_foreign()


def test_other_pod_networks_files_stay(
    cleanup: Callable[..., ClusterCleanup], write: Callable[[str, str], Path], root: Path
) -> None:
    for path in ("/etc/cni/net.d/10-flannel.conflist", "/etc/cni/net.d/87-podman.conflist", "/opt/cni/bin/flannel"):
        write(path, "{}")
    job = cleanup()
    job._clean_files([])
    assert sorted(path.name for path in (root / "etc/cni/net.d").iterdir()) == ["87-podman.conflist"]
    assert not (root / "opt/cni").exists()
    assert job.machine.left == ["/etc/cni/net.d/87-podman.conflist: another pod network's"]


def test_a_folder_that_is_a_mount_is_emptied_and_kept(
    machine: Callable[..., Machine], write: Callable[[str, str], Path], root: Path
) -> None:
    write("/var/lib/etcd/member/wal", "x")
    write("/proc/self/mountinfo", "395 371 254:0 / /var/lib/etcd rw - ext4 /dev/sdb rw\n")
    here = machine()
    here.take_folder("/var/lib/etcd")
    assert list((root / "var/lib/etcd").iterdir()) == []
    again = machine()
    again.take_folder("/var/lib/etcd")
    assert again.removed == []


def test_a_folder_that_is_a_link_is_emptied_and_kept(
    machine: Callable[..., Machine], write: Callable[[str, str], Path], root: Path
) -> None:
    write("/data/etcd/member", "x")
    (root / "var/lib").mkdir(parents=True)
    (root / "var/lib/etcd").symlink_to(root / "data/etcd")
    machine().take_folder("/var/lib/etcd")
    assert (root / "var/lib/etcd").is_symlink()
    assert list((root / "data/etcd").iterdir()) == []


def test_what_is_mounted_in_a_folder_survives_a_failed_unmount(
    machine: Callable[..., Machine], write: Callable[[str, str], Path]
) -> None:
    precious = write("/var/lib/kubelet/pods/a/volumes/nfs/precious", "x")
    write("/proc/self/mountinfo", "9 8 0:1 / /var/lib/kubelet/pods/a/volumes/nfs rw - nfs server:/x rw\n")
    here = machine({"umount": (32, "", "target is busy")})
    with pytest.raises(KubesteadError, match="umount"):
        here.take_folder("/var/lib/kubelet")
    assert precious.exists()
    quiet = machine({"umount": ""})
    with pytest.raises(KubesteadError, match="still mounted"):
        quiet.take_folder("/var/lib/kubelet")
    assert precious.exists()


def test_a_nodes_mounts_are_unmounted_the_last_first(
    machine: Callable[..., Machine], write: Callable[[str, str], Path], root: Path, recorded: Callable[[str], str]
) -> None:
    write("/proc/self/mountinfo", recorded("mountinfo.txt"))
    (root / "var/lib/kubelet").mkdir(parents=True)
    here = machine({"umount": ""})
    here.unmount_below("/var/lib/kubelet")
    fake: Any = here.module
    targets = [line.split()[1] for line in fake.commands]
    assert targets == [mount for mount in reversed(here.mounts()) if mount.startswith(f"{root}/var/lib/kubelet/")]
    assert f"{root}/var/lib/kubelet" not in targets
    assert len(targets) >= 2


def test_check_mode_tells_of_files_and_keeps_them(
    cleanup: Callable[..., ClusterCleanup], write: Callable[[str, str], Path], alice: None
) -> None:
    write("/etc/kubernetes/pki/ca.crt", PEM)
    kept = [
        write("/home/alice/.kube/config", kubeconfig(LAB)),
        write("/etc/hosts", "# BEGIN lab (Kubestead)\n192.0.2.1 a\n# END lab (Kubestead)\n"),
        write("/var/lib/etcd/member/wal", ""),
        write("/opt/cni/bin/flannel", ""),
    ]
    texts = [path.read_text() for path in kept]
    job = cleanup(check_mode=True)
    job._clean_kubeconfigs()
    job._clean_files([])
    job._clean_hosts()
    assert [path.read_text() for path in kept] == texts
    assert job.machine.removed == [
        "file /home/alice/.kube/config",
        "file /opt/cni/bin/flannel",
        "folder /var/lib/etcd",
        "folder /etc/kubernetes",
        "lines of lab in /etc/hosts",
    ]


def test_kubeadm_resets_where_there_are_traces_only(
    cleanup: Callable[..., ClusterCleanup], write: Callable[[str, str], Path]
) -> None:
    job = cleanup(answers={"kubeadm reset": ""})
    job._kubeadm_reset()
    assert job.machine.removed == []
    write("/etc/kubernetes/kubelet.conf", kubeconfig(LAB))
    job = cleanup(answers={"kubeadm reset": ""})
    job._kubeadm_reset()
    fake: Any = job.machine.module
    assert fake.ran("kubeadm reset --force --cri-socket=unix:///run/containerd/containerd.sock")
    assert "--skip-phases=remove-etcd-member" in fake.commands[-1]


def test_etcd_is_told_where_control_planes_stay(
    cleanup: Callable[..., ClusterCleanup], write: Callable[[str, str], Path]
) -> None:
    write("/etc/kubernetes/kubelet.conf", kubeconfig(LAB))
    answers = {"kubeadm reset": "[reset] Failed to remove etcd member: context deadline exceeded, please remove it\n"}
    job = cleanup(answers=answers, whole_cluster=False)
    job._kubeadm_reset()
    fake: Any = job.machine.module
    assert "skip-phases" not in fake.commands[-1]
    assert "etcdctl member remove" in job.machine.left[0]


ETCD = ["https://etcd-1:2379", "https://etcd-2:2379"]


def test_an_etcd_of_ones_own_keeps_its_data_and_the_way_to_remove_it_is_told(
    cleanup: Callable[..., ClusterCleanup], write: Callable[[str, str], Path], alice: None
) -> None:
    write("/etc/kubernetes/kubelet.conf", kubeconfig(LAB))
    write("/etc/kubernetes/admin.conf", kubeconfig(LAB))
    write("/etc/kubernetes/manifests/kube-apiserver.yaml", "    - --etcd-prefix=/lab\n")
    key = write("/etc/kubernetes/external-etcd/client.key", "secret")
    data = write("/var/lib/etcd/member/snap/db", "somebody else's")
    job = cleanup(answers={"kubeadm reset": "", "ip": "[]"}, external_etcd=ETCD)
    job.clean()
    assert data.exists()
    assert not key.exists()
    assert job.machine.left == [
        "the cluster's data in etcd at https://etcd-1:2379, https://etcd-2:2379, which is not ours to remove. A new cluster "
        "there wants it gone: `etcdctl del --prefix /lab/` removes it"
    ]


def test_members_that_leave_a_cluster_with_an_etcd_of_ones_own_ask_for_no_member(
    cleanup: Callable[..., ClusterCleanup], write: Callable[[str, str], Path]
) -> None:
    write("/etc/kubernetes/admin.conf", kubeconfig(LAB))
    job = cleanup(answers={"kubeadm reset": ""}, whole_cluster=False, external_etcd=ETCD)
    job._leave_external_etcd()
    job._kubeadm_reset()
    fake: Any = job.machine.module
    assert "--skip-phases=remove-etcd-member" in fake.commands[-1]
    assert job.machine.left == []


def test_a_worker_tells_nothing_of_etcd(
    cleanup: Callable[..., ClusterCleanup], write: Callable[[str, str], Path]
) -> None:
    write("/etc/kubernetes/kubelet.conf", kubeconfig(LAB))
    job = cleanup(external_etcd=ETCD)
    job._leave_external_etcd()
    assert job.machine.left == []


def test_the_timer_for_snapshots_goes_before_what_it_runs(
    cleanup: Callable[..., ClusterCleanup], write: Callable[[str, str], Path], root: Path
) -> None:
    units = [f"/etc/systemd/system/kubestead-etcd-snapshot.{kind}" for kind in ("timer", "service")]
    for unit in units:
        write(unit, "# Written by Kubestead.\n")
    program = write("/usr/local/lib/kubestead/program.py", "")
    cleanup(answers={"systemctl show": "ActiveState=active\nUnitFileState=enabled\n", "systemctl": ""}).clean()
    assert not any((root / unit.lstrip("/")).exists() for unit in units)
    assert not program.parent.exists()


def test_without_a_timer_systemd_is_not_asked_for_it(cleanup: Callable[..., ClusterCleanup]) -> None:
    one = cleanup(answers={"systemctl": ""})
    one.clean()
    module: Any = one.machine.module
    assert not module.ran("systemctl show --property=LoadState,ActiveState,UnitFileState kubestead-etcd-snapshot")
    assert module.ran("systemctl show --property=LoadState,ActiveState,UnitFileState kubelet")
