"""What is deployed as it was asked for, and may surprise: told to whoever deploys, and refused to nobody. Pure."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Final

_SECRETS: Final = (".env", ".env.*", ".netrc", ".pypirc", "id_rsa", "id_ecdsa", "id_ed25519")
"""Names of files that are made to hold secrets."""
_SAMPLES: Final = (".env.example", ".env.sample", ".env.template", ".env.dist")


def on_package(names: Iterable[str], runtime: str) -> list[str]:
    """What of a package's files, by their names in it, deserves a second look."""
    paths = [PurePosixPath(name) for name in names]
    remarks = [
        f"{path} is part of the package, and whoever may read the code reads it: name it in .samovarignore"
        + ("; variables stand below [environment] in function.toml" if path.name.startswith(".env") else "")
        for path in paths
        if path.name not in _SAMPLES and any(fnmatchcase(path.name, secret) for secret in _SECRETS)
    ]
    if runtime.startswith("python"):
        remarks += [f"{path} hides Python's own module {module}" for path in paths if (module := _hidden(path))]
    return remarks


def _hidden(path: PurePosixPath) -> str | None:
    """The module of the standard library in whose place a file is imported; `None`: it hides none.

    The package's folder comes first on the search path. A folder without `__init__.py` hides nothing: Python takes a
    whole module further down the path before such a one.
    """
    is_package, is_file = path.parts[1:] == ("__init__.py",), len(path.parts) == 1 and path.suffix == ".py"
    module = path.parts[0] if is_package else path.stem
    return module if (is_package or is_file) and module in sys.stdlib_module_names else None
