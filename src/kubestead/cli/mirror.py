"""``kubestead mirror``: build or fetch, serve and look after the mirror."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from kubestead.mirror.errors import MirrorError

if TYPE_CHECKING:
    from kubestead.mirror import status as report
    from kubestead.mirror.bundle import Head
    from kubestead.mirror.catalogue import Catalogue
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
        catalogue, mirror = load(), Mirror.default()
        names = _names(catalogue, component, with_os_packages=with_os_packages)
        with _reporter() as reporter:
            Build(catalogue, mirror, reporter).ensure(kubernetes or catalogue.default, names)
        _print(f"The mirror {mirror.root} is complete. Next: kubestead mirror serve")


@app.command()
def sync(
    kubernetes: _Minor = "",
    component: _Components = None,
    with_os_packages: _OsPackages = False,
    upstream: Annotated[
        list[str] | None,
        typer.Option(
            help="UPSTREAM=ADDRESS: fetch from another address, as https://pkgs.k8s.io=https://mirror.example"
        ),
    ] = None,
    trust: Annotated[
        list[str] | None, typer.Option(help="Fingerprint of a further key that may sign package repositories.")
    ] = None,
) -> None:
    """Fetches components from upstream, verifying signatures and checksums."""
    from kubestead.mirror.catalogue import load
    from kubestead.mirror.publish import Mirror
    from kubestead.mirror.sync import Sync, Upstream

    with _told():
        catalogue, mirror = load(), Mirror.default()
        names = _names(catalogue, component, with_os_packages=with_os_packages)
        addresses = Upstream.parse(upstream or (), trust or ())
        with _reporter() as reporter:
            Sync(catalogue, mirror, addresses, reporter).run(kubernetes or catalogue.default, names)
        _print(f"The mirror {mirror.root} is complete. Next: kubestead mirror serve")


@app.command()
def bundle(
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    kubernetes: Annotated[
        list[str] | None, typer.Option(help="Only this minor; repeat for more. Default: all that the mirror holds.")
    ] = None,
) -> None:
    """Writes what the mirror serves to one file, for machines that reach nothing."""
    from kubestead.mirror import bundle as bundles
    from kubestead.mirror.publish import Mirror

    with _told(), _reporter() as reporter:
        head = bundles.write(Mirror.default(), file, kubernetes or [], reporter)
        size = _size(file.stat().st_size)
        _print(f"{file} holds {_holding(head)}, {size}. On the other side: kubestead mirror load {file.name}")


@app.command()
def load(file: Annotated[Path, typer.Argument(help="A file that `kubestead mirror bundle` wrote.")]) -> None:
    """Takes such a file into the mirror of this machine, every checksum verified."""
    from kubestead.mirror import bundle as bundles
    from kubestead.mirror.catalogue import load as load_catalogue
    from kubestead.mirror.publish import Mirror

    with _told(), _reporter() as reporter:
        head = bundles.load(Mirror.default(), load_catalogue(), file, reporter)
        _print(f"The mirror holds {_holding(head)}. Next: kubestead mirror serve --listen ADDRESS:8765")


@app.command()
def serve(
    listen: Annotated[str, typer.Option(help="ADDRESS:PORT to listen on.")] = "127.0.0.1:8765",
) -> None:
    """Serves the mirror until it is interrupted."""
    from kubestead.mirror import serve as server
    from kubestead.mirror.publish import Mirror

    def ready(url: str) -> None:
        _print(f"The mirror answers at {url}. In an inventory: cluster_mirror_url: {url}")

    with _told():
        server.serve(listen, Mirror.default(), ready)


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False) -> None:
    """Lists what the mirror holds and verifies every checksum; exit code 1 where something is damaged."""
    from kubestead.mirror import status as report
    from kubestead.mirror.publish import Mirror

    found = report.status(Mirror.default())
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        _show(found)
    raise typer.Exit(0 if found.sound else 1)


@app.command()
def clean(
    everything: Annotated[bool, typer.Option("--all", help="Everything, the signing key included.")] = False,
) -> None:
    """Makes room: removes what was needed only to build."""
    from kubestead.mirror import status as report
    from kubestead.mirror.publish import Mirror

    with _told():
        freed = report.clean(Mirror.default(), _print, everything=everything)
        _print(f"{_size(freed)} came free.")


def _show(found: report.Status) -> None:
    if not found.components:
        _print(f"The mirror {found.folder} is empty. Fill it: kubestead mirror build, or kubestead mirror sync")
        return
    table = Table("Kubernetes", "component", "version or reference", "origin", "size", "state", box=None)
    for component in found.components:
        state = "verified" if component.damage is None else f"damaged: {component.damage}"
        row = (component.minor, component.name, component.reference, component.origin, _size(component.size), state)
        table.add_row(*row)
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(table)
    if found.missing:
        _print(f"The published file {found.missing} is missing or truncated: kubestead mirror build publishes again.")
    _print(f"{found.folder}, {_size(found.size)} on disk; packages are signed by {found.signing_key}")


def _holding(head: Head) -> str:
    minors = sorted({entry.minor for entry in head.entries})
    return f"{len(head.entries)} components of Kubernetes {', '.join(minors)}"


def _size(count: int) -> str:
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def _names(catalogue: Catalogue, chosen: list[str] | None, *, with_os_packages: bool) -> list[str]:
    extra = ["os-packages"] if with_os_packages else []
    return [*(chosen or catalogue.components), *extra]


def _print(text: str) -> None:
    Console().print(text, soft_wrap=True, highlight=False, markup=False)


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
    except KeyboardInterrupt:
        Console(stderr=True).print("Interrupted. What was finished is kept; the same command goes on from there.")
        raise typer.Exit(130) from None
