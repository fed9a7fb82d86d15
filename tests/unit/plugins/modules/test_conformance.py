from __future__ import annotations

import pytest
from ansible_collections.kubestead.cluster.plugins.module_utils._conformance import Progress, Spec
from ansible_collections.kubestead.cluster.plugins.module_utils._conformance_run import Seen
from ansible_collections.kubestead.cluster.plugins.modules.conformance_results import judged

GOOD, BAD = Spec("a", "passed", 1.0, ""), Spec("b", "failed", 2.0, "boom")


@pytest.mark.parametrize(
    ("specs", "progress", "ended", "passed", "told"),
    [
        ([GOOD], Progress(1, 1), "", True, "1 passed, 0 failed of 1 specs."),
        ([GOOD, BAD], Progress(2, 1, 1), "", False, "FAILED b"),
        ([GOOD], Progress(2, 1), "", False, "1 passed, 0 failed, 1 not run of 2 specs."),
        ([GOOD], Progress(1, 1), "The suite's pod is gone", False, "pod is gone"),
        ([], Progress(), "", False, "None of this release's conformance specs was chosen"),
        ([], Progress(), "The suite did not start", False, "did not start"),
    ],
)
def test_it_went_well_only_where_all_that_were_chosen_passed(
    specs: list[Spec], progress: Progress, ended: str, passed: bool, told: str
) -> None:
    found = judged(specs, Seen(progress, finished=True, seconds=1.26, ended=ended))
    assert found["passed"] is passed
    assert told in found["verdict"]
    assert found["seconds"] == 1.3
