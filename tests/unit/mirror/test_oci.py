from __future__ import annotations

import json
import struct
import tarfile
from pathlib import Path

from kubestead.mirror import oci
from kubestead.mirror.store import file_digest

_REFERENCE = "registry.example/some/thing:v1"


def _image(folder: Path) -> Path:
    program = folder / "program"
    program.write_text("#!")
    layer = folder / "layer.tar"
    oci.write_layer(layer, [oci.Entry("/usr/bin/thing", source=program), oci.Entry("/bin/sh", target="busybox")])
    layout = folder / "layout"
    oci.write_image(layout, [layer], oci.Settings(("/usr/bin/thing",), ("serve",), "1:1"), "amd64", _REFERENCE)
    return layout


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs/sha256" / digest.removeprefix("sha256:")


def test_every_digest_and_size_holds(tmp_path: Path) -> None:
    layout = _image(tmp_path)
    described = json.loads((layout / "index.json").read_text())["manifests"]
    manifest = json.loads(_blob(layout, described[0]["digest"]).read_text())
    for part in (*described, manifest["config"], *manifest["layers"]):
        blob = _blob(layout, part["digest"])
        assert f"sha256:{file_digest(blob)}" == part["digest"]
        assert blob.stat().st_size == part["size"]
    config = json.loads(_blob(layout, manifest["config"]["digest"]).read_text())
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
    assert config["config"]["Entrypoint"] == ["/usr/bin/thing"]
    assert config["config"]["Cmd"] == ["serve"]
    assert config["config"]["User"] == "1:1"
    assert described[0]["annotations"]["org.opencontainers.image.ref.name"] == _REFERENCE


def test_a_layer_has_the_same_bytes_each_time(tmp_path: Path) -> None:
    source = tmp_path / "program"
    source.write_text("#!")
    entries = [oci.Entry("/b/thing", source=source), oci.Entry("/a", target="b/thing")]
    oci.write_layer(tmp_path / "one.tar", entries)
    source.touch()
    oci.write_layer(tmp_path / "two.tar", reversed(entries))
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_a_layer_has_the_folders_on_the_way_and_no_name_twice(tmp_path: Path) -> None:
    oci.write_layer(
        tmp_path / "l.tar", [oci.Entry("/bin/sh", target="busybox"), oci.Entry("/bin"), oci.Entry("/x/y/z")]
    )
    with tarfile.open(tmp_path / "l.tar") as archive:
        members = {member.name: member for member in archive}
        names = archive.getnames()
    assert sorted(names) == ["bin", "bin/sh", "x", "x/y", "x/y/z"]
    assert members["bin/sh"].linkname == "busybox"
    assert members["x/y"].isdir()


def test_a_program_may_bind_low_ports_without_being_root(tmp_path: Path) -> None:
    source = tmp_path / "coredns"
    source.write_text("x")
    oci.write_layer(tmp_path / "l.tar", [oci.Entry("/coredns", source=source, net_bind_service=True)])
    with tarfile.open(tmp_path / "l.tar") as archive:
        attribute = archive.getmember("coredns").pax_headers["SCHILY.xattr.security.capability"]
    assert struct.unpack("<5I", attribute.encode()) == (0x02000001, 1 << 10, 0, 0, 0)


def test_a_registry_finds_the_image_by_tag_and_its_blobs_by_digest(tmp_path: Path) -> None:
    layout, storage = _image(tmp_path), tmp_path / "registry"
    oci.into_registry(layout, storage, _REFERENCE)
    root = storage / "docker/registry/v2"
    repository = root / "repositories/registry.example/some/thing"
    digest = (repository / "_manifests/tags/v1/current/link").read_text()
    assert digest == json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    hexadecimal = digest.removeprefix("sha256:")
    manifest = json.loads((root / "blobs/sha256" / hexadecimal[:2] / hexadecimal / "data").read_text())
    assert (repository / "_manifests/revisions/sha256" / hexadecimal / "link").read_text() == digest
    for part in (manifest["config"], *manifest["layers"]):
        assert (repository / "_layers" / part["digest"].replace(":", "/") / "link").read_text() == part["digest"]
