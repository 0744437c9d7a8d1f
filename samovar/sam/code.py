"""Where the code of a function or a layer is, as `CodeUri`, `ContentUri` and `InlineCode` say it, and its package."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from samovar.errors import CallerError
from samovar.sam.properties.shared import CodeLocation
from samovar.sam.target import Target

_ARCHIVES = (".zip", ".jar")
NO_RUNTIME = ""
"""Of a layer, whose folder is packed as it is."""
_FIRST_MOMENT = (1980, 1, 1, 0, 0, 0)
"""The same in every package, so that the same code has the same hash."""


class CodeError(CallerError):
    """The code a template names cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Exactly one of the four."""

    path: Path | None = None
    """A folder, or a package that is made already."""
    inline: str | None = None
    location: CodeLocation | None = None
    image: str | None = None


def of_uri(uri: str | CodeLocation, folder: Path) -> Code:
    """What a `CodeUri` or `ContentUri` means. Raises `CodeError` when it is nowhere."""
    if isinstance(uri, CodeLocation):
        return Code(location=uri)
    if uri.startswith("s3://"):
        parts = urlsplit(uri)
        return Code(location=CodeLocation(bucket=parts.netloc, key=parts.path.lstrip("/")))
    path = (folder / uri).resolve()
    if not path.exists():
        raise CodeError(f"there is no {path}")
    if path.is_file() and path.suffix not in _ARCHIVES:
        raise CodeError(f"{path} is neither a folder nor a .zip file")
    return Code(path=path)


def package_of(code: Code, runtime: str, handler: str, target: Target) -> bytes | None:
    """The deployment package; `None` when the platform is to fetch it itself."""
    if code.inline is not None:
        extension = ".py" if runtime.startswith("python") else ".js"
        return _zipped({handler.partition(".")[0] + extension: code.inline.encode()})
    if code.path is None:
        return None
    if code.path.is_file():
        return _read(code.path)
    return target.package(code.path, runtime)


def layer_of(code: Code, target: Target) -> bytes | None:
    """A layer's package: the folder as it is."""
    if code.path is None:
        return None
    if code.path.is_file():
        return _read(code.path)
    return target.package(code.path, NO_RUNTIME)


def in_request(code: Code, package: bytes | None) -> dict[str, Any]:
    """`Code` of CreateFunction, `Content` of PublishLayerVersion."""
    if code.image is not None:
        return {"ImageUri": code.image}
    if package is not None:
        return {"ZipFile": package}
    assert code.location is not None
    version = {"S3ObjectVersion": code.location.version} if code.location.version else {}
    return {"S3Bucket": code.location.bucket, "S3Key": code.location.key, **version}


def _zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _FIRST_MOMENT), content)
    return buffer.getvalue()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CodeError(f"{path} cannot be read: {error.strerror}") from error
