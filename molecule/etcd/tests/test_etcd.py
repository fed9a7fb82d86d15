from __future__ import annotations

import json

from testinfra.host import Host

UNIT = "kubestead-etcd-snapshot"
FOLDER = "/var/lib/kubestead/etcd-snapshots"


def test_the_timer_is_set(host: Host) -> None:
    assert host.service(f"{UNIT}.timer").is_enabled
    assert host.service(f"{UNIT}.timer").is_running
    assert "03:00:00" in host.check_output(f"systemctl show --property=TimersCalendar {UNIT}.timer")


def test_what_it_starts_takes_snapshots_and_keeps_as_many_as_asked_for(host: Host) -> None:
    for _time in range(3):
        # Names tell seconds apart.
        host.check_output(f"sleep 1 && systemctl start {UNIT}.service")
    taken = [path for path in host.file(FOLDER).listdir() if path.endswith(".db")]
    assert len(taken) == 2
    for path in taken:
        assert host.file(f"{FOLDER}/{path}").mode == 0o600
    assert host.file(FOLDER).mode == 0o700
    told = json.loads(host.file(f"{FOLDER}/{max(taken).removesuffix('.db')}.json").content_string)
    assert told["members"] == ["control-plane-1"]
    assert told["revision"] > 0
