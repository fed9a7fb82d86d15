"""What is published: the collection's archive, and the wheel, installed alone with nothing of this checkout in reach."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COLLECTION = "ansible_collections/kubestead/cluster"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel. What it requires is lent by ours, which does not lend our own code:
    a path file's further paths are read in site directories only."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    python = folder / "bin/python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)],
        check=True,
    )
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python


def run(python: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(python), *arguments], cwd=python.parent, capture_output=True, text=True, check=False, env={"PATH": ""}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_it_carries_the_whole_collection_and_no_more(wheel: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "meta", "playbooks", "plugins", "roles"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    committed = {f"{COLLECTION}/{name}" for name in listed.split("\0") if name and (ROOT / name).exists()}
    carried = names(wheel)
    assert committed <= carried
    tops = {name.split("/")[0] for name in carried}
    assert {top for top in tops if not top.endswith((".dist-info", ".data"))} == {"ansible_collections", "kubestead"}
    assert not [name for name in carried if "/tests/" in name or name.endswith(".pyc")]


def test_it_carries_ansibles_settings(wheel: Path) -> None:
    assert {"kubestead/ansible.cfg", "kubestead/inventories/lab/hosts.yml"} <= set(names(wheel))


def test_it_carries_what_reports_are_written_from(wheel: Path, installed: Path) -> None:
    assert "kubestead/runs/templates/report.html.j2" in names(wheel)
    code = "from pathlib import Path; from kubestead.runs import history, page; r = history.Run(Path('x'), {}); print(page.page(r, [r]))"
    assert "<!doctype html>" in run(installed, "-c", code)


def test_it_installs_the_manual_page(installed: Path) -> None:
    page = installed.parents[1] / "share/man/man1/kubestead.1"
    assert page.read_text(encoding="utf-8") == (ROOT / "docs/kubestead.1").read_text(encoding="utf-8")


def test_the_command_works(installed: Path) -> None:
    assert run(installed.with_name("kubestead"), "version").strip() == "0.1.0"
    code = "from kubestead.runs import playbooks as p; print(p.collection_root(), p.settings_file(), sep='\\n')"
    collection, settings = run(installed, "-c", code).splitlines()
    assert Path(collection).is_relative_to(installed.parents[1])
    assert Path(settings).is_relative_to(installed.parents[1])


def test_ansible_finds_roles_modules_and_playbooks(installed: Path) -> None:
    assert "kubestead.cluster.containerd" in run(installed, "-m", "ansible", "doc", "-t", "role", "-l")
    assert "kubeadm_init" in run(installed, "-m", "ansible", "doc", "kubestead.cluster.kubeadm_init")
    run(installed, "-m", "ansible", "playbook", "kubestead.cluster.site", "--syntax-check", "-i", "localhost,")


def test_the_collections_archive_holds_the_collection_and_no_more(tmp_path: Path) -> None:
    galaxy = Path(sys.executable).with_name("ansible-galaxy")
    subprocess.run([str(galaxy), "collection", "build", "--output-path", str(tmp_path), str(ROOT)], check=True)
    (built,) = tmp_path.glob("kubestead-cluster-*.tar.gz")
    with tarfile.open(built) as archive:
        carried = {member.name for member in archive.getmembers() if member.isfile()}
    assert {name.split("/")[0] for name in carried} == {
        *("CHANGELOG.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md"),
        *("changelogs", "meta", "playbooks", "plugins", "roles"),
    }
    assert {"playbooks/site.yml", "meta/runtime.yml", "roles/cluster/vars/main/catalogue.yml"} <= carried
    assert not [name for name in carried if name.endswith((".pyc", ".retry"))]
