from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubestead.cluster.plugins.module_utils import _conformance as suite
from ansible_collections.kubestead.cluster.plugins.module_utils import _conformance_run
from ansible_collections.kubestead.cluster.plugins.module_utils._command import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils._conformance_run import Cluster

QUICK = yaml.safe_load((Path(__file__).parents[4] / "playbooks/vars/conformance.yml").read_text(encoding="utf-8"))
SETTINGS = suite.Settings("registry.example/conformance:v1.36.4", "cp-1", "DNS", 600, True, {})
JUNIT = """\
<testsuites tests="5"><testsuite name="Kubernetes e2e suite">
<testcase name="[SynchronizedBeforeSuite]" status="passed" time="1"></testcase>
<testcase name="[It] [sig-network] DNS should work [Conformance]" status="passed" time="12.5"></testcase>
<testcase name="[It] [sig-apps] not chosen" status="skipped" time="0"><skipped message="skipped"></skipped></testcase>
<testcase name="[It] [sig-node] broken [Conformance]" status="failed" time="3">
<failure type="failed">[FAILED] pod a: no such image
In [It] at: k8s.io/kubernetes/test/e2e/x.go:7 @ 11/21/26

Full Stack Trace
  many lines</failure></testcase>
{more}</testsuite></testsuites>
"""


def node(name: str, ready: str = "True", **spec: Any) -> dict[str, Any]:
    status = {"conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {"name": name}, "spec": spec, "status": status}


def thing(name: str, created: str = "2026-11-21T12:00:00Z", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "creationTimestamp": created, **more.pop("metadata", {})}
    return {"metadata": metadata, **more}


def test_the_quick_specs_are_about_thirty_each_once_and_of_every_group_that_says_something_about_a_cluster() -> None:
    names = QUICK["conformance_quick_specs"]
    assert 28 <= len(names) == len(set(names)) <= 35
    groups = {name.split("]")[0] for name in names}
    assert {
        f"[sig-{group}" for group in ("api-machinery", "apps", "auth", "cli", "network", "node", "storage")
    } <= groups
    assert not [name for name in names if name.endswith("]")], "tags at the end are left out"


def test_a_name_selects_its_spec_with_whatever_tags_and_no_other() -> None:
    focus = suite.names_as_focus(["[sig-x] should work (a.b)", "other"])
    assert re.search(focus, "Kubernetes e2e suite [sig-x] should work (a.b) [NodeConformance] [Conformance]")
    assert re.search(focus, "Kubernetes e2e suite [sig-x] should work (a.b)")
    assert not re.search(focus, "Kubernetes e2e suite [sig-x] should work (a.b) as non-root [Conformance]")
    assert not re.search(focus, "Kubernetes e2e suite [sig-x] should work (acb)")


@pytest.mark.parametrize(("focus", "problem"), [("", "empty"), ("  ", "empty"), ("a(", "no regular expression")])
def test_a_focus_that_is_none(focus: str, problem: str) -> None:
    assert problem in str(suite.problem_of_focus(focus))
    assert suite.problem_of_focus("sig-network.*DNS") is None


def test_the_suite_runs_on_the_node_that_reads_its_results_and_ends_by_itself() -> None:
    *_others, pod = suite.objects(SETTINGS)
    environment = {entry["name"]: entry["value"] for entry in pod["spec"]["containers"][0]["env"]}
    assert pod["spec"]["nodeName"] == "cp-1"
    assert pod["spec"]["activeDeadlineSeconds"] > 600
    assert environment["E2E_FOCUS"] == "DNS"
    assert environment["E2E_EXTRA_GINKGO_ARGS"] == "--timeout=600s --label-filter=Conformance"
    assert "KUBE_TEST_REPO_LIST" not in environment


def test_another_place_for_the_specs_images_goes_the_way_that_the_suite_reads() -> None:
    things = suite.objects(SETTINGS._replace(repositories={"promoterE2eRegistry": "registry.example/e2e"}))
    (places,) = (one for one in things if one["kind"] == "ConfigMap")
    (text,) = places["data"].values()
    assert yaml.safe_load(text) == {"promoterE2eRegistry": "registry.example/e2e"}
    environment = {entry["name"]: entry["value"] for entry in things[-1]["spec"]["containers"][0]["env"]}
    assert environment["KUBE_TEST_REPO_LIST"].endswith(next(iter(places["data"])))


def test_nothing_is_in_the_way_on_a_cluster_that_is_well() -> None:
    tainted = node("cp-1", taints=[{"key": "control-plane", "effect": "NoSchedule"}])
    pods = [thing("coredns", status=node("x")["status"]), thing("done", status={"phase": "Succeeded"})]
    assert suite.complaints([tainted, node("worker-1")], pods, "1.36.4", "1.36.4", None) == []


def test_every_reason_not_to_begin_is_told_at_once() -> None:
    nodes = [node("a", "False"), node("b", unschedulable=True)]
    nodes[0]["spec"]["taints"] = [{"key": "x", "effect": "NoExecute"}]
    pods = [thing("coredns-1", status={"phase": "Pending"})]
    told = suite.complaints(nodes, pods, "1.35.8", "1.36.4", thing("suite"))
    assert len(told) == 5
    text = "\n".join(told)
    for word in (
        "at 2026-11-21T12:00:00Z",
        "--clean",
        "1.35.8",
        "1.36.4",
        "Not Ready: a",
        "No node takes",
        "coredns-1",
    ):
        assert word in text


LOG = """\
Random Seed: 1795297112 - will randomize all specs

Will run 4 of 7579 specs
SSS\u2022SSSS\u2022SS
------------------------------
\u2022 [FAILED] [5.123 seconds]
[sig-node] Pods [It] should be submitted [Conformance] [sig-node, Conformance]
k8s.io/kubernetes/test/e2e/common/node/pods.go:224

  [FAILED] pod a: no such image
------------------------------
SSS"""


def test_the_log_tells_how_far_the_suite_is() -> None:
    progress = suite.read_progress(LOG)
    assert progress == suite.Progress(4, 2, 1, ("[sig-node] Pods should be submitted [Conformance]",))
    assert progress.told(125.4) == "3 of 4 specs done, 1 failed, 2 min 05 s"
    assert suite.read_progress("") == suite.Progress()


def test_results_hold_what_was_run_and_why_it_failed() -> None:
    specs = suite.read_junit(io.BytesIO(JUNIT.format(more="").encode()))
    assert [(spec.status, spec.seconds) for spec in specs] == [("passed", 12.5), ("failed", 3.0)]
    assert specs[1].name == "[sig-node] broken [Conformance]"
    assert specs[1].message.splitlines()[0] == "[FAILED] pod a: no such image"
    assert "Stack" not in specs[1].message
    verdict = suite.verdict(specs, suite.Progress(3, 1, 1), "")
    assert verdict.splitlines()[0] == "1 passed, 1 failed, 1 not run of 3 specs."
    assert "FAILED [sig-node] broken [Conformance]\n  [FAILED] pod a: no such image" in verdict


def test_a_step_of_the_suite_itself_counts_where_it_failed() -> None:
    more = '<testcase name="[AfterSuite]" status="panicked" time="0"><error message="boom"></error></testcase>'
    specs = suite.read_junit(io.BytesIO(JUNIT.format(more=more).encode()))
    assert (specs[-1].name, specs[-1].status, specs[-1].message) == ("[AfterSuite]", "failed", "boom")


def test_results_that_cannot_be_read() -> None:
    with pytest.raises(KubesteadError, match="no XML"):
        suite.read_junit(io.BytesIO(b"<testsuites>"))


def test_a_suite_that_was_broken_off_is_told_by_its_last_report() -> None:
    verdict = suite.verdict([], suite.Progress(30, 4, 1, ("a b",)), "The suite was stopped before its end.")
    assert verdict.splitlines() == [
        "4 passed, 1 failed, 25 not run of 30 specs.",
        "The suite was stopped before its end.",
        "FAILED a b",
    ]


def test_long_messages_are_cut() -> None:
    assert len(suite.shortened("\n".join(map(str, range(99)))).splitlines()) == 13


def test_what_the_suite_left_is_its_own_and_nobody_elses() -> None:
    old, new = "2026-11-21T11:00:00Z", "2026-11-21T13:00:00Z"
    mark = {"labels": {"e2e-run": "x"}}
    hook = {"clientConfig": {"service": {"namespace": "e2e-1"}}}
    kinds = {
        "namespaces": [thing("mine"), thing("e2e-1", new, metadata=mark), thing("e2e-0", old, metadata=mark)],
        "mutatingwebhookconfigurations": [
            thing("theirs", webhooks=[{"clientConfig": {"url": "https://x"}}]),
            thing("e2e", webhooks=[hook]),
        ],
        "apiservices": [
            thing("v1.", spec={"service": None}),
            thing("v1alpha1.wardle.example.com", spec={"service": {"namespace": "e2e-1"}}),
        ],
        "customresourcedefinitions": [
            thing("a", new, spec={"group": "stable.example.com"}),
            thing("b", old, spec={"group": "stable.example.com"}),
            thing("c", new, spec={"group": "kubestead.io"}),
        ],
    }
    assert suite.left_behind(kinds, "2026-11-21T12:30:00Z") == {
        "mutatingwebhookconfigurations": ["e2e"],
        "apiservices": ["v1alpha1.wardle.example.com"],
        "customresourcedefinitions": ["a"],
        "namespaces": ["e2e-1"],
    }


def test_taints_of_the_suite_are_told_from_others() -> None:
    taints = [{"key": "kubernetes.io/e2e-evict-taint-key"}, {"key": "node-role.kubernetes.io/control-plane"}]
    assert suite.tainted([node("a", taints=taints), node("b")]) == [("a", "kubernetes.io/e2e-evict-taint-key")]


class Api:
    """Answers kubectl: the pod of the suite in some phase, other objects by kind."""

    def __init__(self, phase: str = "Running", **more: Any) -> None:
        status = {"phase": phase, "startTime": "2026-11-21T12:00:00Z", **more}
        self.pod: dict[str, Any] | None = thing("suite", status=status)
        self.things: dict[str, list[dict[str, Any]]] = {}
        self.deleted: list[tuple[str, ...]] = []

    def get(self, kind: str, *arguments: str) -> list[dict[str, Any]]:
        if kind == "pod":
            return [self.pod] if self.pod else []
        found = self.things.get(f"{kind}s" if kind in ("namespace", "clusterrolebinding") else kind, [])
        names = [word for word in arguments if not word.startswith("-")]
        return [one for one in found if not names or one["metadata"]["name"] in names]

    def run(self, *arguments: str, **_options: Any) -> Any:
        if arguments[0] == "delete":
            self.deleted.append(arguments)
            if arguments[1] == "pod":
                self.pod = None
            kind = "namespaces" if arguments[1] == "namespace" else arguments[1]
            kept = [one for one in self.things.get(kind, []) if one["metadata"]["name"] not in arguments]
            self.things[kind] = kept

        class Said:
            stdout = "panic: no kubeconfig"

        return Said()


@pytest.fixture
def watched(tmp_path: Path) -> Callable[[Api], Cluster]:
    return lambda api: Cluster(api, str(tmp_path))  # type: ignore[arg-type]


def test_a_failure_is_told_at_once_and_only_once(watched: Callable[[Api], Cluster], tmp_path: Path) -> None:
    cluster = watched(Api())
    (tmp_path / suite.LOG).write_text("Will run 4 of 9 specs\n\u2022", encoding="utf-8")
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        (tmp_path / suite.LOG).write_text(LOG, encoding="utf-8")

    seen, fresh = cluster.watch(30, sleep)
    assert (seen.finished, seen.progress.done, len(fresh), len(waits)) == (False, 3, 1, 1)
    again, none = cluster.watch(0, sleep)
    assert (again.progress, none) == (seen.progress, ())


@pytest.mark.parametrize(
    ("phase", "more", "ended"),
    [
        ("Succeeded", {}, ""),
        ("Failed", {"reason": "DeadlineExceeded", "message": "too long"}, "DeadlineExceeded. too long"),
        ("Failed", {}, "panic: no kubeconfig"),
    ],
)
def test_a_suite_that_has_ended(
    watched: Callable[[Api], Cluster], phase: str, more: dict[str, Any], ended: str
) -> None:
    seen, _fresh = watched(Api(phase, **more)).watch(30)
    assert seen.finished
    assert ended in seen.ended
    assert bool(seen.ended) == bool(ended)


def test_failed_specs_are_no_reason_to_doubt_the_suite(watched: Callable[[Api], Cluster], tmp_path: Path) -> None:
    (tmp_path / suite.JUNIT).write_text(JUNIT.format(more=""), encoding="utf-8")
    specs, seen = watched(Api("Failed")).results()
    assert (len(specs), seen.ended) == (2, "")


def test_an_image_that_cannot_be_pulled_is_not_waited_for(watched: Callable[[Api], Cluster]) -> None:
    waiting = {"name": "suite", "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}
    seen, _fresh = watched(Api("Pending", containerStatuses=[waiting])).watch(1)
    assert seen.finished
    assert "ErrImagePull not found" in seen.ended


def test_a_pod_that_is_gone_ends_the_wait(watched: Callable[[Api], Cluster]) -> None:
    api = Api()
    api.pod = None
    seen, _fresh = watched(api).watch(5)
    assert (seen.finished, "gone" in seen.ended) == (True, True)


def test_the_suite_is_taken_away_with_what_it_left(watched: Callable[[Api], Cluster], tmp_path: Path) -> None:
    api = Api()
    api.things = {
        "namespaces": [
            thing(suite.NAMESPACE),
            thing("e2e-1", "2026-11-21T12:01:00Z", metadata={"labels": {"e2e-run": "x"}}),
        ],
        "clusterrolebindings": [thing(suite.BINDING)],
        "nodes": [node("worker-1", taints=[{"key": "kubernetes.io/e2e-x"}])],
    }
    (tmp_path / "e2e.log").write_text("x", encoding="utf-8")
    cluster = watched(api)
    would = cluster.remains()
    assert cluster.clean(5) == would
    assert would == [
        "namespaces/e2e-1",
        f"namespaces/{suite.NAMESPACE}",
        f"clusterrolebindings/{suite.BINDING}",
        "taint kubernetes.io/e2e-x of worker-1",
    ]
    order = [words[1:3] for words in api.deleted]
    assert order[0] == ("pod", "suite")
    assert order[-1] == ("namespace", suite.NAMESPACE), "the mark goes last"
    assert ("clusterrolebindings", suite.BINDING) in order, "though it has the namespace's name"
    assert cluster.remains() == []
    assert not tmp_path.exists()


def test_a_namespace_that_stays_is_told_with_what_keeps_it(watched: Callable[[Api], Cluster]) -> None:
    api = Api()
    kept = thing("e2e-1", "2026-11-21T12:01:00Z", metadata={"labels": {"e2e-run": "x"}})
    kept["status"] = {"conditions": [{"status": "True", "message": "a finalizer remains"}]}
    api.things = {"namespaces": [thing(suite.NAMESPACE), kept]}
    api.run = lambda *words, **_options: setattr(api, "pod", None)  # type: ignore[method-assign]
    with pytest.raises(KubesteadError, match=r"e2e-1 \(a finalizer remains\)"):
        watched(api).clean(1)


def test_nothing_is_taken_where_no_suite_was() -> None:
    assert Cluster(Api(), "/nonexistent").remains() == []  # type: ignore[arg-type]
    _conformance_run.Cluster(Api(), "/nonexistent").forget()  # type: ignore[arg-type]
