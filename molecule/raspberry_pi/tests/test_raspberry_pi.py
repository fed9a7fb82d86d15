from __future__ import annotations

from testinfra.host import Host


def test_the_command_line_is_one_line_and_accounts_memory(host: Host) -> None:
    assert host.file("/boot/firmware/cmdline.txt").content_string == (
        "console=serial0,115200 console=tty1 root=PARTUUID=ee0d3a1b-02 rootfstype=ext4 fsck.repair=yes rootwait"
        " cgroup_memory=1 cgroup_enable=memory\n"
    )


def test_the_journal_is_in_memory_and_runs(host: Host) -> None:
    assert "RuntimeMaxUse=64M" in host.check_output("systemd-analyze cat-config systemd/journald.conf")
    assert host.service("systemd-journald").is_running
    used = host.check_output("journalctl --header --lines=0")
    assert "/run/log/journal/" in used


def test_nothing_was_rebooted(host: Host) -> None:
    assert host.check_output("systemctl is-system-running") in ("running", "degraded")
