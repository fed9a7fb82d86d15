"""``kubestead mirror``: build, serve and look after the mirror."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from kubestead.mirror.errors import MirrorError

if TYPE_CHECKING:
    from kubestead.mirror.progress import Reporter

app = typer.Typer(no_args_is_help=True, help="The mirror: what clusters are made of, built or fetched, and served.")

_Minor = Annotated[str, typer.Option("--kubernetes", help="Kubernetes minor, as 1.36. Default: the catalogue's.")]
_Components = Annotated[
    list[str] | None,
    typer.Option("--component", help="Only this component; repeat for more. Default: a cluster with flannel."),
]
_OsPackages = Annotated[
    bool, typer.Option("--with-os-packages", help="Also the operating system's packages that the roles install.")
]


@app.command()
def build(kubernetes: _Minor = "", component: _Components = None, with_os_packages: _OsPackages = False) -> None:
    """Builds components from the Go module proxy and Debian's packages."""
    from kubestead.mirror.build import Build
    from kubestead.mirror.catalogue import load
    from kubestead.mirror.publish import Mirror

    with _told():
        catalogue = load()
        names = _names(component, catalogue.components, with_os_packages=with_os_packages)
        mirror = Mirror.default()
        with _reporter() as reporter:
            Build(catalogue, mirror, reporter).ensure(kubernetes or catalogue.default, names)
        Console().print(
            f"The mirror {mirror.root} is complete. Next: kubestead mirror serve", soft_wrap=True, highlight=False
        )


@app.command()
def serve(
    listen: Annotated[str, typer.Option(help="Address and port to listen on.")] = "127.0.0.1:8765",
) -> None:
    """Serves the mirror until it is interrupted."""
    from kubestead.mirror import serve as server
    from kubestead.mirror.publish import Mirror

    def ready(url: str) -> None:
        Console().print(f"The mirror answers at {url}. In an inventory: cluster_mirror_url: {url}", soft_wrap=True)

    with _told():
        server.serve(listen, Mirror.default(), ready)


def _names(chosen: list[str] | None, default: tuple[str, ...], *, with_os_packages: bool) -> list[str]:
    extra = ["os-packages"] if with_os_packages else []
    return [*(chosen or default), *extra]


@contextmanager
def _reporter() -> Iterator[Reporter]:
    from kubestead.mirror.progress import Bar, Plain

    console = Console(stderr=True)
    if console.is_terminal and not os.environ.get("CI"):
        with Bar(console) as bar:
            yield bar
    else:
        yield Plain(console)


@contextmanager
def _told() -> Iterator[None]:
    """Turns what went wrong into one message and exit code 1."""
    try:
        yield
    except MirrorError as error:
        Console(stderr=True).print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
