from __future__ import annotations

import pytest
from ansible_collections.kubestead.cluster.plugins.modules.container_images import held_images, identities, places

MIRRORS = {"registry.k8s.io": ["192.0.2.10:8765/registry.k8s.io", "mirror.example/k8s"]}


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (
            "registry.k8s.io/coredns/coredns:v1",
            ["192.0.2.10:8765/registry.k8s.io/coredns/coredns:v1", "mirror.example/k8s/coredns/coredns:v1"],
        ),
        ("quay.io/a/b:1", []),
    ],
)
def test_an_image_is_looked_for_at_its_mirrors_first(image: str, expected: list[str]) -> None:
    assert places(image, MIRRORS) == [*expected, image]


def test_images_are_known_by_tags_and_digests() -> None:
    listing = '{"images": [{"repoTags": ["a:1"], "repoDigests": ["a@sha256:0"]}, {"repoTags": null}]}'
    assert held_images(listing) == {"a:1", "a@sha256:0"}


def test_another_image_under_the_same_name_is_seen() -> None:
    listing = '{"images": [{"id": "sha256:1", "repoTags": ["a:1", "a:2"]}, {"id": "sha256:2", "repoTags": null}]}'
    assert identities(listing) == {"a:1": "sha256:1", "a:2": "sha256:1"}
    assert identities("{}") == {}
