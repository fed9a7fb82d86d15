"""A backup that arrives on the controller, and what is read of one that somebody wants restored."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _etcd_snapshot
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._etcd_snapshot import about, main, read
from ansible_collections.kubestead.cluster.plugins.modules.etcd_backup_store import keep_backup, rotate
from ansible_collections.kubestead.cluster.plugins.modules.etcd_snapshot_info import look

from ..module_utils.test_etcd_snapshot import AUTHORITY, KEYS, REVISION, Scripted, blobs

NAME = "etcd-2026-11-21T12-30-00Z"


@pytest.fixture
def arrived(tmp_path: Path) -> dict[str, Any]:
    incoming = tmp_path / "prod/.incoming"
    incoming.mkdir(parents=True)
    for ending in ("db", "json", "pki.tar.gz"):
        path = incoming / f"{NAME}.{ending}"
        path.write_bytes(b"".join(blobs()) if ending == "db" else b"{}")
        path.chmod(0o644)
    snapshot = str(incoming / f"{NAME}.db")
    return {
        "incoming": str(incoming),
        "path": str(tmp_path / "prod"),
        "name": f"{NAME}.db",
        "sha256": read(snapshot).sha256,
        "keep": 2,
    }


def test_what_arrived_whole_is_kept_for_its_owner(arrived: dict[str, Any]) -> None:
    told = keep_backup(arrived)
    folder = Path(arrived["path"])
    assert sorted(path.name for path in folder.iterdir()) == [f"{NAME}.db", f"{NAME}.json", f"{NAME}.pki.tar.gz"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert told["file"] == str(folder / f"{NAME}.db")
    assert sorted(told["files"]) == sorted(str(path) for path in folder.iterdir())
    assert told["removed"] == []


@pytest.mark.parametrize("spoil", ["cut", "another"])
def test_what_arrived_otherwise_is_not_taken_and_costs_no_old_one(arrived: dict[str, Any], spoil: str) -> None:
    folder = Path(arrived["path"])
    for day in (18, 19):
        (folder / f"etcd-2026-11-{day}T00-00-00Z.db").touch()
    snapshot = Path(arrived["incoming"]) / arrived["name"]
    if spoil == "cut":
        snapshot.write_bytes(snapshot.read_bytes()[:-1])
    else:
        arrived["sha256"] = "0" * 64
    with pytest.raises(KubesteadError):
        keep_backup(arrived)
    assert len(list(folder.glob("etcd-*.db"))) == 2
    assert not (folder / arrived["name"]).exists()


def test_the_oldest_go_with_all_their_files_and_nothing_else_does(tmp_path: Path) -> None:
    names = [
        f"etcd-2026-11-{day}T00-00-00Z.{ending}" for day in (18, 19, 20) for ending in ("db", "json", "pki.tar.gz")
    ]
    for name in (*names, "notes.txt", "etcd-2026.txt"):
        (tmp_path / name).touch()
    removed = rotate(str(tmp_path), 2)
    assert sorted(Path(path).name for path in removed) == names[:3]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names[3:], "notes.txt", "etcd-2026.txt"])
    assert rotate(str(tmp_path), 5) == []


def test_what_a_snapshot_is(arrived: dict[str, Any]) -> None:
    path = str(Path(arrived["incoming"]) / arrived["name"])
    told = look(path, arrived["sha256"])
    assert (told["revision"], told["total_keys"], told["authorities"]) == (REVISION, KEYS, [AUTHORITY])
    with pytest.raises(KubesteadError, match="another file than expected"):
        look(path, "0" * 64)
    with pytest.raises(
        KubesteadError, match=r"There is no file /nowhere\..*kubestead etcd backup.* Nothing was changed\."
    ):
        look("/nowhere", None)
    Path(path).write_bytes(Path(path).read_bytes()[:-1])
    with pytest.raises(KubesteadError, match=r"cut short.* Nothing was changed\.$"):
        look(path, None)


def test_where_a_snapshot_does_not_tell_whose_it_is_the_file_beside_it_does(
    arrived: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(Path(arrived["incoming"]) / arrived["name"])
    monkeypatch.setattr(_etcd_snapshot, "_ROOT_CA", b"/encrypted")
    assert look(path, None)["authorities"] == []
    Path(about(path)).write_text(json.dumps({"authorities": ["ab"], "sha256": arrived["sha256"]}))
    assert look(path, None)["authorities"] == ["ab"]
    Path(about(path)).write_text(json.dumps({"authorities": ["ab"], "sha256": "of another"}))
    assert look(path, None)["authorities"] == []
    Path(about(path)).write_text("half")
    assert look(path, None)["authorities"] == []


def test_the_timer_takes_one_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_etcd_snapshot, "Etcd", lambda _hosts, timeout: Scripted(blobs()))
    assert main([str(tmp_path / "snapshots"), "3"]) == 0
    assert "holds revision 304" in capsys.readouterr().out
    monkeypatch.setattr(_etcd_snapshot, "Etcd", lambda _hosts, timeout: Scripted([]))
    assert main([str(tmp_path / "snapshots"), "3"]) == 1
    assert "no whole snapshot" in capsys.readouterr().err
    assert len(list((tmp_path / "snapshots").glob("etcd-*.db"))) == 1
