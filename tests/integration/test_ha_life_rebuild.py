"""A highly available cluster rebuilt night after night."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .cluster import Cluster
from .test_command import document, kubestead


@pytest.mark.full
def test_three_rebuilds_in_a_row(ha_cluster: Cluster, tmp_path: Path) -> None:
    authorities = {authority(ha_cluster)}
    for _night in range(3):
        words = ("--yes", "--json", "--report", str(tmp_path / "report"), "--notify", f"tee {tmp_path}/told")
        run = kubestead(ha_cluster, "rebuild", *words, timeout=1200)
        assert run.returncode == 0, run.stderr[-6000:]
        assert document(run)["outcome"] == "succeeded"
        assert json.loads((tmp_path / "told").read_text()) == document(run)
        assert ha_cluster.ready_nodes() == set(ha_cluster.nodes)
        authorities.add(authority(ha_cluster))
    assert len(authorities) == 4, "each is another cluster"
    page = (tmp_path / "report/report.html").read_text()
    assert page.count('<tr><td class="n">') >= 3, "the nights before are in the report"


def authority(cluster: Cluster) -> str:
    """The certificate authority's digest, which tells one cluster from the next."""
    return str(cluster.host(cluster.control_planes[0]).check_output("sha256sum /etc/kubernetes/pki/ca.crt"))
