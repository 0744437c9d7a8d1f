"""Where a package of code comes from: the request itself, or an object in a bucket."""

from __future__ import annotations

from typing import Protocol

from gateway.functions.artifacts import Package
from gateway.functions.unpack import too_large
from gateway.services import Services
from gateway.uploads.refusals import EntityTooLarge, S3Error, code_of
from samovar.errors import InvalidParameterValue


class Source(Protocol):
    """What functions and layers say of it alike."""

    @property
    def zip_file(self) -> bytes | None:
        """The package itself."""
        ...

    @property
    def s3_bucket(self) -> str | None:
        """The bucket it is in."""
        ...

    @property
    def s3_key(self) -> str | None:
        """Its key there."""
        ...

    @property
    def s3_object_version(self) -> str | None:
        """Which of its versions."""
        ...


def check(source: Source, what: str) -> None:
    """Raises `InvalidParameterValue` unless one package is named. `what` it is for is said in AWS's words."""
    by_object = bool(source.s3_bucket or source.s3_key or source.s3_object_version)
    if by_object and source.zip_file is not None:
        raise InvalidParameterValue("Please do not provide other FunctionCode parameters when providing a ZipFile.")
    if by_object and not (source.s3_bucket and source.s3_key):
        raise InvalidParameterValue("S3Bucket and S3Key are mandatory parameters for a package in a bucket.")
    if not by_object and source.zip_file is None:
        raise InvalidParameterValue(f"Please provide a source for {what}.")


async def package_of(services: Services, source: Source, *, keep: bool = True) -> Package:
    """Keep and unpack the package, or only check it. Raises what `Artifacts.add` and `Artifacts.fetch` raise."""
    if source.zip_file is None:
        return await services.artifacts.fetch(lambda: _object(services, source), keep=keep)
    if keep:
        return await services.artifacts.add(source.zip_file)
    return await services.artifacts.check(source.zip_file)


async def _object(services: Services, source: Source) -> bytes:
    """The package in a bucket. Raises `InvalidParameterValue` when it cannot be had, as Lambda words it."""
    assert source.s3_bucket, "it has been checked"
    assert source.s3_key, "it has been checked"
    unpacked = services.settings.max_code_bytes
    # Files that cannot be compressed are larger in a package than outside it, by less than another package may have.
    limit = unpacked + services.settings.max_upload_bytes
    try:
        return await services.objects.get(source.s3_bucket, source.s3_key, limit, source.s3_object_version)
    except EntityTooLarge as error:
        raise too_large(unpacked) from error
    except S3Error as error:
        raise InvalidParameterValue(
            f"Error occurred while GetObject. S3 Error Code: {code_of(error)}. S3 Error Message: {error.message}"
        ) from error
