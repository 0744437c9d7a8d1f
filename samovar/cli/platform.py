"""`samovar up`, `down`, `status`: the platform on this box."""

from __future__ import annotations

import inspect
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from samovar.cli.failures import PLATFORM_ERROR, describe
from samovar.cli.options import Json
from samovar.errors import ServiceUnavailable, StartRefused
from samovar.settings import Settings, load
from samovar.settings import describe as describe_setting

if TYPE_CHECKING:
    from samovar.link.operations import InvokerStatus
    from samovar.supervisor.overview import Overview

STOP_MARGIN_S = 20.0
"""What `down` waits beyond the platform's own deadline for running calls."""
LOOK_AGAIN_S = 0.05

DataDir = Annotated[
    str | None,
    typer.Option("--data-dir", metavar="DIR", help="Folder the platform keeps all in.", show_default="~/.samovar"),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up")(with_setting_flags(up))
    app.command("down")(down)
    app.command("worker")(worker)
    app.command("status")(status)


def up(
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings file (TOML).")] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when it is ready; it keeps running.")] = False,
    no_worker: Annotated[
        bool, typer.Option("--no-worker", help="Leave events and sweeps to `samovar worker`.")
    ] = False,
    folders: Annotated[
        list[Path] | None, typer.Option("--with", metavar="FOLDER", help="When ready, deploy and call this function.")
    ] = None,
    **flags: str | None,
) -> None:
    """Start the whole platform on this box and keep it running."""
    import asyncio

    from samovar.supervisor import first_call, launch, state
    from samovar.supervisor.banner import banner
    from samovar.supervisor.output import wants_colour

    settings = load(os.environ, flags | ({"workers": 0} if no_worker else {}), config)
    for folder in folders or []:
        if not folder.is_dir():
            raise typer.BadParameter(f"--with {folder} is not a folder")
    if not detach:
        launch.in_foreground(settings, folders or [])
    try:
        launch.detached(settings)
    except StartRefused as refusal:
        sys.stderr.write(describe(refusal))
        raise typer.Exit(PLATFORM_ERROR) from refusal
    running = state.read(state.path_of(settings))
    if running is None:
        raise ServiceUnavailable("the platform was ready and is gone again; see logs-platform/ in its data directory")
    typer.echo(banner(running, detached=True, colour=wants_colour()))
    for folder in folders or []:
        code = asyncio.run(first_call.deploy_and_call(folder, running.url))
        if code:
            raise typer.Exit(code)


def down(data_dir: DataDir = None) -> None:
    """Stop the platform: no new calls, running ones finish, then everything ends."""
    from samovar.supervisor import data_dir as directory

    settings = load(os.environ, {"data_dir": data_dir})
    pid = directory.owner(settings)
    if pid is None:
        typer.echo(f"no Samovar is running on {settings.data}")
        return
    patience_s = settings.drain_timeout_s + STOP_MARGIN_S
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + patience_s
    while directory.owner(settings) == pid:
        if time.monotonic() > deadline:
            raise ServiceUnavailable(f"Samovar (pid {pid}) runs on after {patience_s:.0f} s; `kill -9 {pid}` ends it")
        time.sleep(LOOK_AGAIN_S)
    typer.echo(f"Samovar (pid {pid}) has stopped")


def worker(
    broker: Annotated[
        str | None,
        typer.Option("--broker", metavar="URL", help="The platform's store (redis://…), or its RabbitMQ (amqp://…)."),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option("--redis-url", metavar="URL", help="The store, where the broker is another."),
    ] = None,
    data_dir: DataDir = None,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings file (TOML).")] = None,
) -> None:
    """Run events and sweeps of a platform: of this box's, or by its broker's URL of one on another host."""
    from samovar.supervisor import data_dir as directory
    from samovar.supervisor import launch, state

    flags: dict[str, str | None] = {"data_dir": data_dir, "redis_url": store}
    if broker is not None:
        flags["broker_url" if broker.startswith("amqp") else "redis_url"] = broker
    settings = load(os.environ, flags, config)
    if settings.broker_url and not settings.redis_url:
        raise typer.BadParameter("a broker that is not the store needs the store, too: --redis-url URL")
    is_home = broker is None and store is None
    if is_home and directory.owner(settings) is None:
        raise ServiceUnavailable(f"no Samovar is running on {settings.data}; name the broker of one with --broker URL")
    platform = state.read(state.path_of(settings)) if is_home else None
    has_beat = platform is None or any(process.name == "worker" for process in platform.processes)
    launch.worker(settings, beat=not has_beat)


def status(data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show the platform: processes, isolation and its limits, runtimes, environments. Exit code 3: not running."""
    from samovar.cli.output import print_json
    from samovar.supervisor.overview import collect

    found = collect(load(os.environ, {"data_dir": data_dir}))
    if as_json:
        print_json(found)
    elif found.running:
        _draw(found)
    else:
        typer.echo(f"no Samovar is running on {found.data_dir}; start it with `samovar up`")
    if not found.running:
        raise typer.Exit(PLATFORM_ERROR)


def _draw(found: Overview) -> None:
    from samovar.cli.output import short_time, stdout, table

    console = stdout(wraps=True)
    heads = {"Endpoint": found.url, "Isolation": found.isolation, "Data": found.data_dir, "Store": found.store}
    console.print(f"Samovar {found.version} {'is ready' if found.ready else 'is starting'}")
    for name, value in heads.items():
        console.print(f"  {name:<10} {value}")
    processes = table("PROCESS", "STATE", ">PID", ">UPTIME", ">RESTARTS", ">MEMORY MB")
    for process in found.processes:
        processes.add_row(
            process.name,
            process.phase,
            str(process.pid or "-"),
            short_time(process.uptime_s) if process.uptime_s else "-",
            str(process.restarts),
            "-" if process.memory_mb is None else f"{process.memory_mb:.1f}",
        )
    console.print("", processes, f"{found.memory_mb:.1f} MB together, environments not counted", sep="\n")
    if found.problem:
        console.print(f"\n{found.problem}")
    if found.invoker is not None:
        _draw_invoker(found.invoker)


def _draw_invoker(invoker: InvokerStatus) -> None:
    from samovar.cli.output import stdout, table

    isolations = table("ISOLATION", "USABLE", "DETAIL", prose=True)
    for isolation in invoker.isolations:
        limits = "\n".join(f"  {name}: {how}" for name, how in isolation.limits.items())
        detail = f"{isolation.detail}\n{limits}" if isolation.available else isolation.detail
        isolations.add_row(isolation.name, "yes" if isolation.available else "no", detail)
    runtimes = table("RUNTIME", "USABLE", "DETAIL", prose=True)
    for runtime in invoker.runtimes:
        runtimes.add_row(runtime.name, "yes" if runtime.available else "no", runtime.detail)
    console = stdout(wraps=True)
    console.print("", isolations, "", runtimes, "", sep="\n")
    if invoker.provisioned:
        provisioned = table("PROVISIONED", "VERSION", ">WANTED", ">READY", "PROBLEM", prose=True)
        for view in invoker.provisioned:
            name = view.arn.rpartition(":")[2]
            provisioned.add_row(name, view.version, str(view.wanted), str(view.ready), view.problem or "-")
        console.print(provisioned, "", sep="\n")
    console.print(
        f"environments {invoker.environments} (idle {invoker.idle}, busy {invoker.busy}), "
        f"waiting calls {invoker.waiting}, "
        f"memory {invoker.memory_reserved_mb} of {invoker.memory_budget_mb} MB promised"
    )


def with_setting_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that takes `**flags` one option for every setting.

    Typer reads a signature, so it is given one. Values are passed on as text: `load` checks them all alike,
    wherever they come from.
    """
    own = inspect.signature(command, eval_str=True)
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_flag(name))
        for name in Settings.__struct_fields__
    ]
    kept = [parameter for parameter in own.parameters.values() if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
    signed: Any = command
    signed.__signature__ = own.replace(parameters=[*kept, *options])
    signed.__annotations__ = {parameter.name: parameter.annotation for parameter in [*kept, *options]}
    return command


def _flag(name: str) -> Any:
    default = getattr(Settings(), name)
    option = typer.Option(
        f"--{name.replace('_', '-')}", metavar="VALUE", help=describe_setting(name), show_default=str(default) or False
    )
    return Annotated[str | None, option]
