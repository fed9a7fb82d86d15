"""The client of the failure tests: what it counts as a gap, as a success and as a loss."""

from __future__ import annotations

from typing import Any

import pytest

from ...integration.failures.client import Writer, longest_gap, lost
from ...integration.failures.connection import NoAnswerError


@pytest.mark.parametrize(
    ("acknowledged", "gap"),
    [
        ([0.1, 0.2, 0.3, 9.9], 9.6),
        ([9.9, 0.1, 5.0], 4.9),
        ([6.0, 9.0], 6.0),  # nothing from the start on
        ([1.0, 2.0], 8.0),  # nothing until the end
        ([], 10.0),
        ([5.0, 13.0], 8.0),  # a write that succeeded after the last was due
    ],
)
def test_the_longest_gap_counts_the_windows_bounds(acknowledged: list[float], gap: float) -> None:
    assert longest_gap(0.0, 10.0, acknowledged) == pytest.approx(gap)


def test_lost_is_what_was_acknowledged_and_is_not_there() -> None:
    assert lost([3, 1, 2], [1, 4]) == [2, 3]
    assert lost([1], [1, 2]) == []


def written(server: Any, limit: int) -> Writer:
    with Writer(server.connect, limit) as writer:
        writer._schedule.join()
        writer.stop()
        assert server.namespaces == ["POST /api/v1/namespaces"]
    return writer


def test_a_write_is_repeated_until_it_succeeds(server: Any) -> None:
    server.refused = {1: 3}
    writer = written(server, 4)
    assert writer.sent == 4
    assert set(writer.acknowledged) == {0, 1, 2, 3}
    assert writer.failures == {"status 503": 3}
    assert writer.present(server.connect) == {0, 1, 2, 3}


def test_a_name_that_is_taken_is_a_success_only_where_the_write_is_repeated(server: Any) -> None:
    server.silent = {0}
    writer = written(server, 2)
    assert set(writer.acknowledged) == {0, 1}
    assert writer.failures == {"TimeoutError": 1}

    with Writer(server.connect, 0) as another:
        assert another._attempt({"data": {"number": "0"}}, repeated=False) == "status 409"


def test_what_a_server_acknowledges_and_forgets_is_found(server: Any) -> None:
    server.forgetful = {1, 3}
    writer = written(server, 5)
    assert lost(writer.acknowledged, writer.present(server.connect)) == [1, 3]


def test_the_namespace_goes_whatever_happens(server: Any) -> None:
    with pytest.raises(RuntimeError), Writer(server.connect, 1):
        raise RuntimeError
    assert [line.split()[0] for line in server.namespaces] == ["POST", "DELETE"]


def test_a_cluster_that_takes_no_writes_is_no_ground_to_break_anything(server: Any) -> None:
    server.refused = dict.fromkeys(range(10), 1000)
    with Writer(server.connect, 1) as writer:
        with pytest.raises(NoAnswerError, match="0 of 1 writes"):
            writer.warm_up(0.3)
        server.refused = {}
