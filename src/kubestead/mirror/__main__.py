"""``python -m kubestead.mirror``: the command ``kubestead mirror``, for processes that start it in the background."""

from __future__ import annotations

from kubestead.cli.mirror import app

app(prog_name="kubestead mirror")
