"""kubeadm: durations, tokens, phases, and what is told when it fails."""

from __future__ import annotations

import datetime
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils import _kubeadm as kubeadm
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError

NOW = datetime.datetime.fromisoformat("2026-11-21T06:24:48+00:00")
PIN = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "expected"), [("30m", 1800), ("1h30m", 5400), ("90s", 90), ("1.5h", 5400), ("0", 0), ("24h0m0s", 86400)]
)
def test_durations(text: str, expected: float) -> None:
    assert kubeadm.seconds(text) == expected


@pytest.mark.parametrize("text", ["", "30", "m", "-5m", "1 h", "3d"])
def test_what_is_no_duration_is_said_with_examples(text: str) -> None:
    with pytest.raises(KubesteadError, match=r"is not a duration\. Write it like 30m"):
        kubeadm.seconds(text)


def test_tokens_are_well_formed_and_never_the_same() -> None:
    random.seed(1)
    first = kubeadm.new_token()
    random.seed(1)
    assert kubeadm.TOKEN.fullmatch(first)
    assert kubeadm.new_token() != first


def test_secrets_are_blotted_out_and_pins_are_not() -> None:
    text = f"join 10.0.0.1:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash {PIN} --certificate-key {'0f' * 32}"
    shown = kubeadm.without_secrets(text)
    assert "0123456789abcdef" not in shown
    assert "0f0f" not in shown
    assert PIN in shown
    assert "abcdef." in shown


def test_merging_goes_into_mappings_and_replaces_the_rest() -> None:
    base = {"a": {"b": 1, "c": [1]}, "d": 1}
    over = {"a": {"c": [2], "e": 3}, "d": {"f": 1}}
    assert kubeadm.merged(base, over) == {"a": {"b": 1, "c": [2], "e": 3}, "d": {"f": 1}}
    assert base == {"a": {"b": 1, "c": [1]}, "d": 1}


def test_phases_take_their_parts_and_add_up_to_the_whole(recorded: Callable[[str], str]) -> None:
    clock = kubeadm.PhaseClock()
    lines = [line.split(" ", 1) for line in recorded("kubeadm_init.txt").splitlines()]
    for moment, text in lines:
        clock.line(text, float(moment))
    end = float(lines[-1][0])
    phases = clock.phases(end)
    assert [phase["name"] for phase in phases] == [
        *("preflight", "certs", "kubeconfig", "etcd", "control-plane", "kubelet-start", "wait-control-plane"),
        *("upload-config", "upload-certs", "mark-control-plane", "bootstrap-token", "kubelet-finalize", "addons"),
    ]
    started = next(float(moment) for moment, text in lines if text.startswith("[preflight]"))
    assert sum(phase["seconds"] for phase in phases) == pytest.approx(end - started, abs=0.1)
    spent = {phase["name"]: phase["seconds"] for phase in phases}
    assert (spent["kubelet-start"], spent["wait-control-plane"]) == (7.49, 2.0)


def test_a_phase_that_comes_back_is_counted_once() -> None:
    clock = kubeadm.PhaseClock()
    for moment, text in [
        (0, "[certs] a"),
        (1, "[etcd] b"),
        (3, "  [warning] indented"),
        (4, "[certs] c"),
        (4.5, "plain [etcd] d"),
    ]:
        clock.line(text, moment)
    assert clock.phases(6) == [{"name": "certs", "seconds": 3.0}, {"name": "etcd", "seconds": 3.0}]
    assert kubeadm.PhaseClock().phases(1) == []


def listed(recorded: Callable[[str], str]) -> list[dict[str, Any]]:
    tokens: list[dict[str, Any]] = kubeadm.json_documents(recorded("token_list.json"))
    return tokens


def test_what_is_shown_of_a_token_holds_no_secret(recorded: Callable[[str], str]) -> None:
    shown = [kubeadm.token_summary(token) for token in listed(recorded)]
    assert [(token["id"], token["expires"]) for token in shown] == [
        ("kb5ifh", "2026-11-21T06:54:48Z"),
        ("lpq2j6", None),
    ]
    assert "0123456789abcdef" not in json.dumps(shown)


def test_how_long_a_token_is_still_good(recorded: Callable[[str], str]) -> None:
    limited, eternal = listed(recorded)
    assert kubeadm.seconds_left(limited, NOW) == 1800
    assert math.isinf(kubeadm.seconds_left(eternal, NOW))


def test_meaningful_lines_of_a_real_journal(recorded: Callable[[str], str]) -> None:
    journal = recorded("kubelet_journal.txt").splitlines()
    lines = kubeadm.meaningful(journal, 30)
    assert kubeadm.meaningful(journal, 6) == lines[-6:]
    assert len(set(lines)) == len(lines) < 30
    assert all("I1121" not in line for line in lines)
    assert any("Unable to register node with API server" in line for line in lines)


def test_repetitions_come_once_and_last() -> None:
    lines = [
        'E1121 06:00:01.000001 12 a.go:1] "Failed" pod="x-1234567890ab" attempt=1',
        "F1121 06:00:02.000001 12 b.go:1] Gave up",
        'E1121 06:00:03.000001 12 a.go:1] "Failed" pod="x-0987654321ab" attempt=2',
        "I1121 06:00:04.000001 12 c.go:1] this error does not matter",
        "kubelet.service: Failed with result 'exit-code'.",
    ]
    assert kubeadm.meaningful(lines, 9) == [
        "Gave up",
        '"Failed" pod="x-0987654321ab" attempt=2',
        "kubelet.service: Failed with result 'exit-code'.",
    ]


def test_static_pods_logs_are_read_from_the_newest_file(tmp_path: Path) -> None:
    folder = tmp_path / "kube-system_etcd-cp_0123" / "etcd"
    folder.mkdir(parents=True)
    (folder / "0.log").write_text("2026-11-21T06:00:00Z stderr F error: old\n", encoding="utf-8")
    (folder / "1.log").write_text(
        '2026-11-21T06:00:01Z stderr F {"level":"info","msg":"starting"}\n'
        '2026-11-21T06:00:02Z stderr F {"level":"fatal","msg":"open /var/lib/etcd: permission denied"}\n',
        encoding="utf-8",
    )
    assert kubeadm.static_pod_trouble(str(tmp_path)) == {
        "etcd": ['{"level":"fatal","msg":"open /var/lib/etcd: permission denied"}']
    }


def test_an_explained_failure_has_the_logs_the_way_out_and_no_secret(
    fake_module: Any, recorded: Callable[[str], str]
) -> None:
    module = fake_module(lambda _command, _data: (0, recorded("kubelet_journal.txt"), ""))
    error = KubesteadError("kubeadm failed with abcdef.0123456789abcdef", stdout="token abcdef.0123456789abcdef", rc=1)
    explained = kubeadm.explain(module, error, "init", "Run it again.")
    assert "The kubelet's last complaints:" in explained.message
    assert explained.message.endswith("Run it again.")
    assert "0123456789abcdef" not in explained.message + json.dumps(explained.details)
    assert explained.details["rc"] == 1


def test_validation_gives_warnings_and_raises_errors(fake_module: Any) -> None:
    good = fake_module(lambda _command, _data: (0, "ok\n", "W1121 06:00:00.000001 12 x.go:1] unknown field\n"))
    assert kubeadm.Kubeadm(good).validate("/x") == ["unknown field"]
    assert good.commands == [["/usr/bin/kubeadm", "config", "validate", "--config", "/x"]]
    bad = fake_module(lambda _command, _data: (1, "", 'strict decoding error: unknown field "networkin"\n'))
    with pytest.raises(KubesteadError, match=r"(?s)nothing was changed on this node.*networkin.*cluster_kubeadm_"):
        kubeadm.Kubeadm(bad).validate("/x")


def test_version(fake_module: Any, recorded: Callable[[str], str]) -> None:
    module = fake_module(lambda _command, _data: (0, recorded("kubeadm_version.json"), ""))
    assert kubeadm.Kubeadm(module).version() == "1.36.4"
