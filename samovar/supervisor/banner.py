"""What a person reads once the platform is ready."""

from __future__ import annotations

from samovar.supervisor.state import PlatformState


def banner(state: PlatformState, *, detached: bool, colour: bool) -> str:
    """Where it is, how it isolates, where it keeps things, how to stop it."""
    stop = f"samovar down --data-dir {state.data_dir}" if detached else "Ctrl-C (twice: at once)"
    rows = {
        "Functions": f"{state.url}/fn/NAME",
        "API": f"{state.url}   (SAMOVAR_ENDPOINT, boto3's endpoint_url)",
        "Key": f"{state.credentials} (profile samovar)"
        if state.credentials
        else "none; everybody on this host may call",
        "Open to": state.open_to and f"{state.open_to}, without TLS; /fn/NAME asks nobody for a key",
        "Isolation": state.isolation,
        "Data": state.data_dir,
        "Store": state.store,
        "Stop": stop,
    }
    title = f"Samovar {state.version} is ready."
    if colour:
        title = f"\x1b[1;32m{title}\x1b[0m"
    return "\n".join([title, *(f"  {name:<10} {value}" for name, value in rows.items() if value)])
