"""`streetvision cluster`: models that several miners share through Ray Serve, on this machine or on a cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from streetvision.cli.shared import AsJson, StateDir, miner_settings, print_json
from streetvision.errors import OperatorError
from streetvision.settings.settings import Settings

if TYPE_CHECKING:
    from streetvision.cluster.deploying import ClusterStatus

app = typer.Typer(no_args_is_help=True, help="Models that several miners share through Ray Serve.")


@app.command()
def up(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Start Ray on this machine with the settings --ray.*, unless it runs; it goes on when this command has ended."""
    from streetvision.cluster.from_settings import local_ray

    settings = _for_this_machine(miner_settings(state_dir))
    head = local_ray(settings)
    typer.echo(f"starting Ray at {head.address}", err=True)
    started = head.up()
    if as_json:
        print_json({"address": head.address, "dashboard": head.dashboard, "started": started})
        return
    sys.stdout.write(f"Ray {'runs' if started else 'ran already'} at {head.address}, its page is {head.dashboard}\n")


@app.command()
def deploy(
    versions: Annotated[
        list[str] | None,
        typer.Argument(metavar="[VERSION]...", help="Versions that are warm from the start. Default: the active one."),
    ] = None,
    *,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Deploy the models with the settings --ray.*, or update what is deployed, one replica after the other."""
    from streetvision.cluster.from_settings import deploy_options

    settings = miner_settings(state_dir)
    options = deploy_options(settings, _versions(settings, versions or []))
    with _connected(settings) as page:
        from streetvision.cluster.deploying import cluster_status, deploy_models

        typer.echo(f"deploying to {settings.ray.head}: until the first replica is warm takes a minute or two", err=True)
        deploy_models(options)
        _show(cluster_status(settings.ray.head, page), as_json)


@app.command()
def status(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Show the cluster's nodes, GPUs and replicas, and the address of its page; exit code 1 where nothing is ready."""
    settings = miner_settings(state_dir)
    with _connected(settings) as page:
        from streetvision.cluster.deploying import cluster_status

        found = cluster_status(settings.ray.head, page)
        _show(found, as_json)
    if found.state != "RUNNING":
        raise typer.Exit(1)


@app.command()
def down(as_json: AsJson = False, state_dir: StateDir = None) -> None:
    """Stop Ray on this machine, or take the models off the cluster of --ray.address; miners go on by themselves."""
    from streetvision.cluster.from_settings import local_ray

    settings = miner_settings(state_dir)
    if settings.ray.address:
        with _connected(settings):
            from streetvision.cluster.deploying import remove_models

            stopped = remove_models()
    else:
        stopped = local_ray(settings).down()
    if as_json:
        print_json({"address": settings.ray.head, "stopped": stopped})
        return
    sys.stdout.write(f"{settings.ray.head}: {'stopped' if stopped else 'nothing ran'}\n")


@contextmanager
def _connected(settings: Settings) -> Iterator[str]:
    """This process as a driver of the cluster; yields the page's address. Raises OperatorError for all that fails."""
    from streetvision.cluster.local import connect, prepare_environment, require_ray
    from streetvision.cluster.ray_failures import failure_of
    from streetvision.cluster.remedies import remedy_of

    require_ray()
    prepare_environment()
    try:
        yield connect(settings.ray.head)
    except (OperatorError, typer.Exit):
        raise
    except Exception as error:
        failure = failure_of(error)
        raise OperatorError(f"{failure}: {remedy_of(failure.trouble)}") from error


def _for_this_machine(settings: Settings) -> Settings:
    if settings.ray.address:
        raise OperatorError(
            f"--ray.address names a cluster ({settings.ray.address}): start it there, or drop the setting to have Ray "
            "on this machine"
        )
    return settings


def _versions(settings: Settings, names: list[str]) -> list[str]:
    """The named ones; without a name the one that the miner serves."""
    from streetvision.miner.model_choice import serving_model
    from streetvision.registry.registry import open_registry

    if not names:
        return [serving_model(settings).version]
    registry = open_registry(settings.state_dir)
    return [registry.servable(name).version for name in names]


def _show(found: ClusterStatus, as_json: bool) -> None:
    if as_json:
        print_json(found.as_dict())
        return
    replicas = ", ".join(f"{count} {state.lower()}" for state, count in found.replicas.items() if count)
    sys.stdout.write(f"cluster   {found.address}: {found.nodes} nodes, {found.cpus:g} CPUs, {found.gpus:g} GPUs\n")
    sys.stdout.write(f"models    {found.state.lower() or 'not deployed: streetvision cluster deploy'}\n")
    if replicas:
        sys.stdout.write(f"replicas  {replicas}\n")
    if found.message:
        sys.stdout.write(f"          {found.message.splitlines()[0]}\n")
    if found.dashboard:
        sys.stdout.write(f"page      {found.dashboard}\n")
