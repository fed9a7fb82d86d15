"""The mirror: artefacts of clusters, built from source or fetched from upstream, and served below one address."""

from __future__ import annotations
