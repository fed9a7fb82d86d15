from __future__ import annotations

from testinfra.host import Host


def test_the_service_runs_and_starts_at_boot(host: Host) -> None:
    assert host.service("haproxy").is_running
    assert host.service("haproxy").is_enabled


def test_it_listens_beside_the_api_servers_port(host: Host) -> None:
    listening = host.check_output("ss --listening --tcp --numeric --processes")
    (line,) = [line for line in listening.splitlines() if '"haproxy"' in line]
    assert line.split()[3].endswith(":8443")


def test_it_knows_the_control_planes_and_none_else(host: Host, addresses: dict[str, str]) -> None:
    lines = [line.split() for line in host.file("/etc/haproxy/haproxy.cfg").content_string.splitlines()]
    servers = [line[1:] for line in lines if line[:1] == ["server"]]
    assert servers == [["control-plane-1", f"{addresses['control-plane-1']}:6443"]]


def test_sockets_are_roots_alone(host: Host) -> None:
    for name in ("admin", "statistics"):
        socket = host.file(f"/run/haproxy/{name}.sock")
        assert (socket.is_socket, socket.user, socket.mode) == (True, "root", 0o600)


def test_the_statistics_page_answers_on_the_machine_alone(host: Host) -> None:
    page = host.check_output("curl --silent --fail --unix-socket /run/haproxy/statistics.sock http://localhost/")
    assert "control-planes" in page


def test_it_comes_back_when_it_is_killed(host: Host) -> None:
    before = host.check_output("systemctl show --property=MainPID --value haproxy")
    host.check_output("kill -KILL %s", before)
    host.check_output("timeout 10 sh -c 'until systemctl is-active --quiet haproxy; do sleep 0.1; done'")
    assert host.check_output("systemctl show --property=MainPID --value haproxy") != before
