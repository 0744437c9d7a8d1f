"""Errors as a person reads them: what happened, whose fault it is, what to do next. And exit codes.

0    done
1    the function failed
2    the command, its input or the caller's request is at fault
3    the platform or its host is at fault, or cannot be reached
130  interrupted by Ctrl-C
"""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from samovar.errors import (
    AccessDenied,
    CallerError,
    EnvironmentFailure,
    InvalidSignature,
    MissingAuthenticationToken,
    ResourceConflict,
    ResourceNotFound,
    SamovarError,
    ServiceUnavailable,
    StartRefused,
    TooManyRequests,
    UnrecognizedClient,
)

FUNCTION_ERROR = 1
CALLER_ERROR = 2
PLATFORM_ERROR = 3
INTERRUPTED = 130

_NEXT: tuple[tuple[type[SamovarError], str], ...] = (
    (
        MissingAuthenticationToken,
        "give the data directory of the platform in SAMOVAR_DATA_DIR, or a key; see docs/cli.md",
    ),
    (UnrecognizedClient, "`samovar keys ls` lists the keys; SAMOVAR_DATA_DIR says which platform's root key is meant"),
    (InvalidSignature, "look at the clock and at the secret of the key"),
    (AccessDenied, "use a key of a role that may do this; `samovar keys ls` lists them"),
    (
        ResourceNotFound,
        "list what there is: `samovar functions`, or `ls` of queues, buckets, schedule, keys and others",
    ),
    (ResourceConflict, "wait for the other change to finish, then try again"),
    (TooManyRequests, "try again later, or let more environments start (`samovar ps` shows those there are)"),
    (CallerError, "correct it and try again"),
    (StartRefused, "change it and start again"),
    (EnvironmentFailure, "`samovar status` shows what this host can run"),
    (ServiceUnavailable, "`samovar status` shows which part is missing"),
    (SamovarError, "`samovar status` shows how the platform is"),
)
"""What to do about an error that says no time to wait; the first class that fits counts."""


class CommandGroup(TyperGroup):
    """The `samovar` command: turns what its commands raise into one message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except SamovarError as error:
            sys.stderr.write(describe(error))
            raise typer.Exit(exit_code(error)) from error
        except (KeyboardInterrupt, typer.Abort) as error:
            raise typer.Exit(INTERRUPTED) from error


def exit_code(error: SamovarError) -> int:
    """The exit code an error stands for."""
    return CALLER_ERROR if isinstance(error, CallerError | StartRefused) else PLATFORM_ERROR


def describe(error: SamovarError) -> str:
    """The message a person gets, one sentence a line."""
    lines = [f"error: {error.message}", f"fault: {_fault(error)}"]
    if error.retry_after is not None:
        lines.append(f"next:  try again in {error.retry_after:g} s")
    else:
        lines.append(f"next:  {next(hint for kind, hint in _NEXT if isinstance(error, kind))}")
    return "\n".join(lines) + "\n"


def _fault(error: SamovarError) -> str:
    if isinstance(error, TooManyRequests):
        return "more calls than there are environments for"
    if isinstance(error, CallerError):
        return "what was asked for, not the platform"
    if isinstance(error, StartRefused):
        return "a setting, or this host"
    return "the platform or its host, not your function"
