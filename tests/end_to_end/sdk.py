"""boto3 as a function's author packs it: beside the handler."""

from __future__ import annotations

import py_compile
import sys
import tempfile
import textwrap
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from tests.end_to_end.lab import zipped

_DISTRIBUTIONS = ("boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "urllib3", "six")
_SERVICES = ("lambda", "logs", "s3", "sqs", "sts")
_ANY_SERVICE = ("endpoints.json", "partitions.json", "_retry.json", "sdk-default-configuration.json")


def packed(source: str) -> bytes:
    """A deployment package of one module, `app`, and boto3 with the models of a few services."""
    return zipped({"app.py": textwrap.dedent(source), **_files()})


@cache
def _files() -> dict[str, bytes]:
    files = {}
    for name in _DISTRIBUTIONS:
        for path in distribution(name).files or ():
            if path.suffix in (".py", ".json", ".gz", ".pem") and _is_needed(Path(path)):
                files[str(path)] = Path(str(path.locate())).read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder, "compiled")
        for name in [name for name in files if name.endswith(".py")]:
            _compile(Path(folder, "source.py"), files[name], compiled)
            module = Path(name)
            place = module.parent / "__pycache__" / f"{module.stem}.{sys.implementation.cache_tag}.pyc"
            files[str(place)] = compiled.read_bytes()
    return files


def _compile(place: Path, source: bytes, compiled: Path) -> None:
    """Good whatever the file's time is (PEP 552): environments cannot write what they compile."""
    place.write_bytes(source)
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(place), cfile=str(compiled), doraise=True, invalidation_mode=mode)


def _is_needed(path: Path) -> bool:
    if ".." in path.parts or path.parts[:2] not in (("botocore", "data"), ("boto3", "data")):
        return ".." not in path.parts
    return path.parts[2] in (*_SERVICES, *_ANY_SERVICE)
