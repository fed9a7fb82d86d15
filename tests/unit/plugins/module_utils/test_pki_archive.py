"""The authorities and keys of a cluster: packed for root alone, and unpacked only where nothing else is."""

from __future__ import annotations

import io
import stat
import tarfile
from pathlib import Path

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _pki_archive
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._pki_archive import FILES, pack, unpack
from ansible_collections.kubestead.cluster.plugins.modules import pki_archive


@pytest.fixture
def control_plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "kubernetes"
    monkeypatch.setattr(_pki_archive, "FOLDER", str(folder))
    for name in (*FILES, "pki/apiserver.key", "encryption/config.yaml"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
    manifest = folder / "manifests/kube-apiserver.yaml"
    manifest.parent.mkdir()
    manifest.write_text(f"    - --encryption-provider-config={folder}/encryption/config.yaml\n")
    return folder


def test_what_every_certificate_is_made_from_comes_to_a_new_machine(control_plane: Path, tmp_path: Path) -> None:
    archive = tmp_path / "backups/pki.tar.gz"
    names = pack(str(archive), str(control_plane))
    assert sorted(names) == sorted([*FILES, "encryption/config.yaml"])
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert list(archive.parent.iterdir()) == [archive]
    new = tmp_path / "new"
    assert unpack(str(archive), str(new)) == names
    modes = {name: stat.S_IMODE((new / name).stat().st_mode) for name in names}
    assert {name for name, mode in modes.items() if mode == 0o600} == {
        name for name in names if name.endswith((".key", ".yaml"))
    }
    assert (new / "pki/sa.key").read_text() == "content of pki/sa.key"
    assert unpack(str(archive), str(new)) == []


def test_an_authority_without_its_key_is_packed_as_it_is(control_plane: Path, tmp_path: Path) -> None:
    (control_plane / "pki/front-proxy-ca.key").unlink()
    assert "pki/front-proxy-ca.key" not in pack(str(tmp_path / "pki.tar.gz"), str(control_plane))


def test_files_of_another_cluster_are_never_replaced(control_plane: Path, tmp_path: Path) -> None:
    archive, new = tmp_path / "pki.tar.gz", tmp_path / "new"
    pack(str(archive), str(control_plane))
    (new / "pki").mkdir(parents=True)
    (new / "pki/ca.crt").write_text("another")
    with pytest.raises(KubesteadError, match=r"Nothing was changed.*another cluster: pki/ca\.crt"):
        unpack(str(archive), str(new))
    assert [str(path.relative_to(new)) for path in new.rglob("*")] == ["pki", "pki/ca.crt"]


def test_check_mode_tells_and_writes_nothing(control_plane: Path, tmp_path: Path) -> None:
    archive, new = tmp_path / "pki.tar.gz", tmp_path / "new"
    names = pack(str(archive), str(control_plane))
    assert unpack(str(archive), str(new), write=False) == names
    assert not new.exists()
    packed = tmp_path / "other.tar.gz"
    assert pki_archive.perform(str(packed), "packed", check_mode=True) == {"changed": True, "files": []}
    assert not packed.exists()


def test_a_machine_without_an_authority_has_nothing_to_pack(tmp_path: Path) -> None:
    with pytest.raises(KubesteadError, match="no certificate authority"):
        pack(str(tmp_path / "pki.tar.gz"), str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["/etc/shadow", "../../etc/shadow"])
def test_an_archive_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "pki.tar.gz"
    with tarfile.open(archive, "w:gz") as target:
        target.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(KubesteadError, match="no backup of ours"):
        unpack(str(archive), str(tmp_path / "new"))


def test_an_archive_that_is_damaged_or_lacks_something_is_refused(control_plane: Path, tmp_path: Path) -> None:
    archive = tmp_path / "pki.tar.gz"
    pack(str(archive), str(control_plane))
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(KubesteadError, match="cannot be read as an archive"):
        unpack(str(archive), str(tmp_path / "new"))
    (control_plane / "pki/sa.key").unlink()
    pack(str(archive), str(control_plane))
    with pytest.raises(KubesteadError, match=r"lacks pki/sa\.key"):
        unpack(str(archive), str(tmp_path / "new"))
