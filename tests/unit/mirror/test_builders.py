"""Packages and images as the catalogue describes them, from programs that are not the real ones."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from kubestead.mirror import builders, oci
from kubestead.mirror.builders import Workshop
from kubestead.mirror.catalogue import Catalogue
from kubestead.mirror.errors import MirrorError
from kubestead.mirror.plan import Planner, Step
from kubestead.mirror.process import run
from kubestead.mirror.store import Store

from .conftest import needs_apt_tools


def _no_go() -> None:
    raise AssertionError("Go is not needed here")


class Bench:
    """Makes one component for real, its inputs as stand-ins."""

    def __init__(self, catalogue: Catalogue, folder: Path) -> None:
        self._planner = Planner(catalogue, "1.36", architecture="amd64", suite="bookworm")
        self._store = Store(folder / "store")
        self._folder = folder
        self._shop = Workshop(self._store, folder / "logs", _no_go)  # type: ignore[arg-type]

    def make(self, name: str) -> Path:
        (component,) = self._planner.components([name])
        for step in component.step.inputs.values():
            self._stand_in(step)
        target, work = self._folder / "target", self._folder / "work"
        target.mkdir()
        work.mkdir()
        builders.make(component.step, self._shop, work, target)
        return target

    def _stand_in(self, step: Step) -> None:
        with self._store.new(step.key) as folder:
            if step.kind == "base":
                oci.write_layer(folder / "layer.tar", [oci.Entry("/bin/sh", target="busybox")])
            if step.kind == "source":
                (folder / Path(step.recipe["source"]).name).write_text("a source")
                return
            programs = step.recipe.get("programs", {step.recipe.get("program", "file"): ""})
            for name in (*programs, *step.recipe.get("tests", ())):
                (folder / name).write_text(f"program {name}")
                (folder / name).chmod(0o755)


@pytest.fixture
def bench(catalogue: Catalogue, tmp_path: Path) -> Bench:
    return Bench(catalogue, tmp_path)


def _fields(package: Path) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in run(["dpkg-deb", "--field", package]).splitlines() if ": " in line)


def _unpack(package: Path, folder: Path) -> Path:
    run(["dpkg-deb", "--raw-extract", package, folder])
    return folder


@needs_apt_tools
class TestPackages:
    def test_kubelet_has_its_unit_and_its_dependencies(self, bench: Bench, tmp_path: Path) -> None:
        (package,) = bench.make("kubelet").iterdir()
        assert package.name == "kubelet_1.36.4-1.1_amd64.deb"
        fields = _fields(package)
        assert (fields["Package"], fields["Version"]) == ("kubelet", "1.36.4-1.1")
        assert "kubernetes-cni (>= 1.2.0)" in fields["Depends"]
        root = _unpack(package, tmp_path / "root")
        assert (root / "usr/bin/kubelet").stat().st_mode & 0o777 == 0o755
        unit = root / "usr/lib/systemd/system/kubelet.service"
        assert unit.stat().st_mode & 0o777 == 0o644
        assert "ExecStart=/usr/bin/kubelet\n" in unit.read_text()
        # Upstream's package leaves it to the administrator to enable the kubelet.
        assert "systemctl enable" not in (root / "DEBIAN/postinst").read_text()

    def test_kubeadm_brings_the_kubelets_drop_in(self, bench: Bench, tmp_path: Path) -> None:
        (package,) = bench.make("kubeadm").iterdir()
        drop_in = _unpack(package, tmp_path / "root") / "usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"
        assert "EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env" in drop_in.read_text()
        assert "cri-tools" in _fields(package)["Depends"]

    def test_containerd_has_runc_inside_and_is_started(self, bench: Bench, tmp_path: Path) -> None:
        (package,) = bench.make("containerd.io").iterdir()
        assert package.name == "containerd.io_2.3.7-1~debian.12~bookworm_amd64.deb"
        assert _fields(package)["Conflicts"] == _fields(package)["Provides"] == "containerd, runc"
        root = _unpack(package, tmp_path / "root")
        assert {path.name for path in (root / "usr/bin").iterdir()} == {
            "containerd",
            "containerd-shim-runc-v2",
            "ctr",
            "runc",
        }
        assert (root / "DEBIAN/conffiles").read_text() == "/etc/containerd/config.toml\n"
        assert "systemctl enable --now containerd.service" in (root / "DEBIAN/postinst").read_text()

    def test_kubernetes_cni_has_all_plug_ins(self, bench: Bench, catalogue: Catalogue, tmp_path: Path) -> None:
        (package,) = bench.make("kubernetes-cni").iterdir()
        plugins = {path.name for path in (_unpack(package, tmp_path / "root") / "opt/cni/bin").iterdir()}
        assert plugins == catalogue.artefacts.modules["cni-plugins"].programs.keys()

    def test_a_package_has_the_same_bytes_each_time(self, catalogue: Catalogue, tmp_path: Path) -> None:
        packages = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            (package,) = Bench(catalogue, tmp_path / name).make("kubectl").iterdir()
            packages.append(package.read_bytes())
        assert packages[0] == packages[1]


def _image(layout: Path) -> tuple[dict[str, object], list[list[str]]]:
    """The configuration of an image, and the names in each of its layers."""

    def blob(digest: str) -> Path:
        return layout / "blobs/sha256" / digest.removeprefix("sha256:")

    top = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    manifest = json.loads(blob(top).read_text())
    names = []
    for layer in manifest["layers"]:
        with tarfile.open(blob(layer["digest"])) as archive:
            names.append(archive.getnames())
    return json.loads(blob(manifest["config"]["digest"]).read_text())["config"], names


class TestImages:
    def test_kube_proxy_lies_on_its_base(self, bench: Bench) -> None:
        config, layers = _image(bench.make("kube-proxy"))
        assert "bin/sh" in layers[0]
        assert "usr/local/bin/kube-proxy" in layers[1]
        assert config["Entrypoint"] == ["/usr/local/bin/kube-proxy"]

    def test_etcd_has_its_three_programs_where_path_finds_them(self, bench: Bench) -> None:
        config, (names,) = _image(bench.make("etcd"))
        assert {f"usr/local/bin/{name}" for name in ("etcd", "etcdctl", "etcdutl")} <= set(names)
        assert any("/usr/local/bin" in str(text) for text in config["Env"])  # type: ignore[attr-defined]

    def test_pause_is_one_file_and_not_root(self, bench: Bench) -> None:
        config, layers = _image(bench.make("pause"))
        assert layers == [["pause"]]
        assert config["User"] == "65535:65535"

    def test_calico_has_its_plugin_under_both_names(self, bench: Bench) -> None:
        _, (names,) = _image(bench.make("calico-cni"))
        assert {f"opt/cni/bin/{name}" for name in ("calico", "calico-ipam", "install")} <= set(names)

    def test_calicos_node_starts_its_parts_by_a_script(self, bench: Bench) -> None:
        config, layers = _image(bench.make("calico-node"))
        script = str(config["Entrypoint"][-1])  # type: ignore[index]
        assert {"bin/calico-node", script.lstrip("/")} <= set(layers[1])

    def test_agnhost_pauses_unless_told_otherwise(self, bench: Bench) -> None:
        config, layers = _image(bench.make("agnhost"))
        assert (config["Entrypoint"], config["Cmd"]) == (["/agnhost"], ["pause"])
        assert {"agnhost", "uploads"} <= set(layers[1])

    def test_the_suites_agnhost_is_what_its_specs_look_for(self, bench: Bench) -> None:
        config, layers = _image(bench.make("conformance-agnhost"))
        assert config["Entrypoint"] == ["/agnhost"]
        assert {"agnhost", "agnhost-2", "localhost.crt", "etc/passwd", "uploads"} <= set(layers[1])

    def test_a_program_that_is_to_raise_its_rights_has_the_bit(self, bench: Bench) -> None:
        layout = bench.make("conformance-nonewprivs")
        (bits,) = (mode for name, mode in _modes(layout) if name == "usr/local/bin/nnp")
        assert bits == 0o4755

    def test_the_suite_has_what_runs_it(self, bench: Bench) -> None:
        config, layers = _image(bench.make("conformance-suite"))
        assert config["Entrypoint"] == ["kubeconformance"]
        programs = {f"usr/local/bin/{name}" for name in ("e2e.test", "ginkgo", "kubeconformance", "kubectl")}
        assert programs <= set(layers[1])


def _modes(layout: Path) -> list[tuple[str, int]]:
    """The files in the layers of an image, with their modes."""
    found = []
    for blob in (layout / "blobs/sha256").iterdir():
        if tarfile.is_tarfile(blob):
            with tarfile.open(blob) as archive:
                found += [(member.name, member.mode) for member in archive if member.isfile()]
    return found


def test_busybox_stands_for_what_neither_a_package_nor_a_link_brings(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/busybox").write_text("#!/bin/sh\nprintf '%s\\n' cat ip ls nc sh\n")
    (tmp_path / "bin/busybox").chmod(0o755)
    entries = {"bin/busybox": oci.Entry("bin/busybox"), "sbin/ip": oci.Entry("sbin/ip")}
    recipe = {"applets": "all", "links": {"/bin/sh": "dash", "/bin/nc": "nc.openbsd"}}
    assert builders._applets(recipe, tmp_path, entries) == ["cat", "ls"]
    assert builders._applets({"applets": ["ip"]}, tmp_path, entries) == ["ip"]


def test_a_manifest_that_a_module_lacks_is_said(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builders.golang, "source", lambda *_: (tmp_path / "nothing", tmp_path / "go.mod"))
    planner = Planner(catalogue, "1.36", architecture="amd64", suite="bookworm")
    (component,) = planner.components(["flannel-manifest"])
    shop = Workshop(Store(tmp_path / "store"), tmp_path, lambda: None)  # type: ignore[arg-type,return-value]
    with pytest.raises(MirrorError, match=r"flannel v0\.28\.4 has no file Documentation/kube-flannel\.yml"):
        builders.make(component.step, shop, tmp_path, tmp_path / "target")
