"""Runs of real, tiny playbooks on this machine's own Python, without any host."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from kubestead.runs import RunResult, run_playbook
from kubestead.runs.playbooks import PlaybookError

HEAD = "- name: prepare\n  hosts: all\n  gather_facts: false\n  tasks:\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "hosts.yml").write_text(
        "all:\n  vars:\n    ansible_connection: local\n"
        '    ansible_python_interpreter: "{{ ansible_playbook_python }}"\n'
        "  hosts:\n    one:\n    two:\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("CI", "true")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def play(place: Path, tasks: str, **options: object) -> tuple[RunResult, str]:
    playbook = place / "play.yml"
    playbook.write_text(HEAD + textwrap.indent(textwrap.dedent(tasks), "    "), encoding="utf-8")
    console = Console(file=io.StringIO(), width=200)
    result = run_playbook(str(playbook), place / "hosts.yml", console=console, **options)  # type: ignore[arg-type]
    return result, str(console.file.getvalue())  # type: ignore[attr-defined]


def test_a_good_run(place: Path) -> None:
    tasks = """
    - ansible.builtin.debug:
        msg: "{{ greeting }}"
      changed_when: true
    """
    result, output = play(place, tasks, extra_vars={"greeting": "good day"}, limit="one")
    assert result.ok
    assert (result.rc, result.changed, set(result.hosts)) == (0, 1, {"one"})
    assert [phase.name for phase in result.phases] == ["prepare"]
    assert "  one: good day" in output
    assert "Changed: one 1." in output
    assert "--limit one --extra-vars" in result.command
    outcome = json.loads((result.record / "run.json").read_text())
    assert outcome["ok"]
    assert "PLAY RECAP" in (result.record / "output.log").read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tags": ["jion"]}, "no tag 'jion'"),
        ({"passthrough": ["--skip-tags", "verfy"]}, "no tag 'verfy'"),
        ({"passthrough": ["--tags=verfy"]}, "no tag 'verfy'"),
        ({"limit": "three"}, "no host or group 'three'"),
        ({"passthrough": ["-l", "one,three"]}, "no host or group 'three'"),
    ],
)
def test_what_would_leave_out_hosts_or_phases_in_silence_is_refused(
    place: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(PlaybookError, match=said):
        run_playbook("site", place / "hosts.yml", console=Console(file=io.StringIO()), **options)
    assert not (place / "state").exists()


def test_a_failed_run_says_how_to_go_on(place: Path) -> None:
    result, output = play(place, '- ansible.builtin.fail: {msg: "No room on {{ inventory_hostname }}."}\n')
    assert not result.ok
    assert result.rc == 2
    assert {failure.host for failure in result.failures} == {"one", "two"}
    assert "  | No room on two." in output
    assert "run the same command again" in output
    assert "--skip-tags validate,preflight" in output
    assert str(result.record) in output


def test_check_mode_changes_nothing(place: Path) -> None:
    tasks = f"- ansible.builtin.copy: {{content: x, dest: '{place}/made', mode: '0644'}}\n"
    result, _ = play(place, tasks, check=True)
    assert result.ok
    assert result.changed == 2
    assert not (place / "made").exists()


def test_a_playbook_that_is_not_yaml_shows_ansibles_words(place: Path) -> None:
    result, output = play(place, "- : : nonsense {{\n")
    assert not result.ok
    assert result.failures == []
    assert "Ansible stopped before it came to a task" in output
    assert "play.yml" in output


def test_a_question_that_nobody_would_see_is_refused_unless_it_is_answered(place: Path) -> None:
    (place / "ask.yml").write_text(
        HEAD.replace("  tasks:", "  vars_prompt:\n    - {name: really, prompt: Really}\n  tasks:")
        + '    - ansible.builtin.debug: {msg: "said {{ really }}"}\n',
        encoding="utf-8",
    )
    with pytest.raises(PlaybookError, match=r"asks: Really. Answer with --extra-vars really="):
        run_playbook("ask.yml", place / "hosts.yml")
    console = Console(file=io.StringIO(), width=200)
    assert run_playbook("ask.yml", place / "hosts.yml", passthrough=["-e", "really=yes"], console=console).ok
    assert "said yes" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_run_is_recorded_with_versions_and_inventory(place: Path) -> None:
    (place / "group_vars").mkdir()
    (place / "group_vars" / "all.yml").write_text("cluster_name: home\ncluster_kubernetes_version: '1.36'\n")
    result, _ = play(place, "- ansible.builtin.debug:\n", extra_vars={"db_password": "hunter22"})
    about = json.loads((result.record / "run.json").read_text())
    assert (about["cluster"], about["outcome"], about["inventory"]) == ("home", "succeeded", str(place / "hosts.yml"))
    assert about["inventory_digest"].startswith("sha256:")
    assert set(about["versions"]) == {"kubestead", "ansible-core", "ansible-runner", "python", "kubernetes"}
    assert all(about["versions"].values())
    assert about["started"] <= about["ended"]
    left = [path.read_text() for path in (place / "state").rglob("*") if path.is_file()]
    assert left
    assert not [text for text in left if "hunter22" in text]


def test_without_a_place_for_records_and_locks_a_run_goes_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr("tempfile.tempdir", None)
    result, output = play(place, "- ansible.builtin.command: 'true'\n")
    assert result.ok
    assert output.count("No record can be kept in /proc/nowhere/kubestead/runs") == 1
    assert output.count("Nothing keeps a second run out") == 1
    assert result.record.is_relative_to(place)


def test_a_disk_that_fills_up_ends_ansible(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ansible_runner.utils.OutputEventFilter.write", full)
    result, output = play(place, "- ansible.builtin.command: sleep 600\n")
    assert result.rc == 1
    assert "Ansible was ended, because its files could not be written: [Errno 28] No space left on device" in output
    assert json.loads((result.record / "run.json").read_text())["outcome"] == "failed"
    processes = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in processes if str(place).encode() in line], "Ansible goes on"


def test_a_stopped_run_ends_ansible_and_says_so(place: Path) -> None:
    (place / "play.yml").write_text(
        HEAD + "    - ansible.builtin.debug: {msg: here I am}\n    - ansible.builtin.command: sleep 600\n",
        encoding="utf-8",
    )
    code = (
        "import sys\nfrom pathlib import Path\nfrom kubestead.runs import run_playbook\n"
        "sys.exit(run_playbook('play.yml', Path('hosts.yml')).rc)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code], cwd=place, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "here I am" in line:
            break
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped in phase prepare, by Ctrl-C or a signal." in rest
    (record,) = (place / "state" / "kubestead" / "runs").iterdir()
    assert json.loads((record / "run.json").read_text())["rc"] == 130
    assert not (record / "runner").exists()
    processes = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in processes if str(place).encode() in line], "Ansible's workers go on"


def test_a_run_that_takes_too_long_is_stopped_at_its_time_limit(place: Path) -> None:
    result, output = play(place, "- ansible.builtin.command: sleep 600\n", time_limit=4)
    assert (result.ok, result.rc) == (False, 124)
    assert "Stopped in phase prepare: its time limit of 4.0 s was over." in output
    about = json.loads((result.record / "run.json").read_text())
    assert (about["outcome"], about["rc"], about["reason"]) == ("timed out", 124, result.reason)
    processes = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in processes if str(place).encode() in line], "Ansible goes on"


def test_a_run_within_its_time_limit_is_like_any_other(place: Path) -> None:
    result, _ = play(place, "- ansible.builtin.debug:\n", time_limit=600)
    assert (result.ok, result.rc, result.reason) == (True, 0, "")


def test_the_line_that_is_shown_may_name_other_values(place: Path) -> None:
    tasks = '- ansible.builtin.debug: {msg: "to {{ path }}"}\n'
    result, output = play(place, tasks, extra_vars={"path": "/tmp/of-mine"}, shown_vars={"path": "kubeconfig"})
    assert "  one: to /tmp/of-mine" in output
    assert '{"path": "kubeconfig"}' in result.command
    assert "/tmp/of-mine" not in result.command + (result.record / "run.json").read_text()
