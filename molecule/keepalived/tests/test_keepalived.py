from __future__ import annotations

from testinfra.host import Host

VIRTUAL_IP = "172.29.94.10"


def test_the_service_runs_and_starts_at_boot(host: Host) -> None:
    assert host.service("keepalived").is_running
    assert host.service("keepalived").is_enabled


def test_it_speaks_to_the_other_load_balancer_alone(host: Host, addresses: dict[str, str], name: str) -> None:
    text = host.file("/etc/keepalived/keepalived.conf").content_string
    (peers,) = [block.split("}")[0].split() for block in text.split("unicast_peer {")[1:]]
    assert peers == [address for other, address in addresses.items() if other != name]
    assert f"unicast_src_ip {addresses[name]}" in text


def test_the_router_is_numbered_after_the_address(host: Host) -> None:
    assert "virtual_router_id 10\n" in host.file("/etc/keepalived/keepalived.conf").content_string


def test_no_machine_has_the_address_while_no_api_server_is_ready(host: Host) -> None:
    assert VIRTUAL_IP not in host.check_output("ip -brief address")


def test_it_comes_back_when_it_is_killed(host: Host) -> None:
    before = host.check_output("systemctl show --property=MainPID --value keepalived")
    host.check_output("kill -KILL %s", before)
    host.check_output("timeout 10 sh -c 'until systemctl is-active --quiet keepalived; do sleep 0.1; done'")
    assert host.check_output("systemctl show --property=MainPID --value keepalived") != before
