"""Functions that are container images: what they are made of, and how the API shows it.

An image comes from the Docker engine beside the invoker; it is pinned by the engine's id when it is given, so that a
tag that moves changes nothing until the code is updated. Members: AWS Lambda API reference, `CreateFunction` and
`UpdateFunctionCode`; developer guide, "Create a Lambda function using a container image".
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.functions.functions import Operations, ask
from gateway.functions.record import FunctionRecord
from gateway.lambda_api.models import (
    CodeLocation,
    CodeSource,
    ConfigurationRequest,
    CreateFunctionRequest,
    ImageConfig,
    ImageConfigResponse,
)
from samovar.errors import InvalidParameterValue
from samovar.function import IMAGE_RUNTIME, ContainerImage, FunctionVersion
from samovar.link.operations import ImageFound, ImageQuestion

IMAGE: Final = "Image"
_FIND_WITHIN_S: Final = 20.0


def is_image(request: CreateFunctionRequest) -> bool:
    """Whether the function to be created is a container image. Raises `InvalidParameterValue` if it is both."""
    if request.package_type != IMAGE:
        if request.image_config is not None:
            raise InvalidParameterValue("ImageConfig can only be given for functions of PackageType Image.")
        if request.code.image_uri is not None:
            raise InvalidParameterValue("ImageUri can only be given for functions of PackageType Image.")
        return False
    if request.runtime or request.handler or request.layers:
        raise InvalidParameterValue(
            "Please don't provide handler or runtime or layer when the intent is to create image functions."
        )
    if not request.code.image_uri:
        raise InvalidParameterValue("Please provide ImageUri for a function of PackageType Image.")
    if request.code.zip_file is not None:
        raise InvalidParameterValue("Please don't provide ZipFile for a function of PackageType Image.")
    return True


def check_source(current: FunctionVersion, code: CodeSource) -> None:
    """A function stays a zip file or an image. Raises `InvalidParameterValue` with AWS's words."""
    if current.image is None and code.image_uri is not None:
        raise InvalidParameterValue("Please don't provide ImageUri when updating a function with packageType Zip.")
    if current.image is not None and code.image_uri is None:
        raise InvalidParameterValue("Please provide ImageUri when updating a function with packageType Image.")


def check_configuration(current: FunctionVersion, update: ConfigurationRequest) -> None:
    """What belongs to zip files or to images alone. Raises `InvalidParameterValue`."""
    if current.image is None and update.image_config is not None:
        raise InvalidParameterValue("ImageConfig can only be given for functions of PackageType Image.")
    if current.image is not None and (update.runtime or update.handler or update.layers):
        raise InvalidParameterValue("Runtime, Handler and Layers cannot be given for functions of PackageType Image.")


async def pull(link: Operations, uri: str, config: ImageConfig | None) -> ContainerImage:
    """The image there is under a name now. Raises `InvalidParameterValue`, and `ServiceUnavailable`."""
    found = msgspec.json.decode(
        await ask(link, "image", msgspec.json.encode(ImageQuestion(uri)), _FIND_WITHIN_S), type=ImageFound
    )
    return with_config(ContainerImage(uri=uri, id=found.id), config)


def with_config(image: ContainerImage, config: ImageConfig | None) -> ContainerImage:
    """The image with what a request's `ImageConfig` says, and nothing that was said before; `None` changes nothing."""
    if config is None:
        return image
    return msgspec.structs.replace(
        image,
        entry_point=_given(config.entry_point),
        command=_given(config.command),
        working_directory=config.working_directory or None,
    )


def _given(words: list[str] | None) -> tuple[str, ...] | None:
    return tuple(words) if words else None


def on(record: FunctionRecord, image: ContainerImage) -> FunctionRecord:
    """The function made of that image. What it says otherwise than its last image stays."""
    former = record.version.image
    if former is not None and image.is_plain:
        image = msgspec.structs.replace(former, uri=image.uri, id=image.id)
    version = msgspec.structs.replace(
        record.version, image=image, runtime=IMAGE_RUNTIME, handler="", code_sha256=image.sha256
    )
    return msgspec.structs.replace(record, version=version, code_size=0)


def shown(version: FunctionVersion) -> ImageConfigResponse | None:
    """`ImageConfigResponse`; absent where the function says nothing otherwise than its image."""
    image = version.image
    if image is None or image.is_plain:
        return None
    return ImageConfigResponse(
        ImageConfig(
            entry_point=list(image.entry_point) if image.entry_point else None,
            command=list(image.command) if image.command else None,
            working_directory=image.working_directory,
        )
    )


def location(image: ContainerImage) -> CodeLocation:
    """Where the code is: the name that was given, and what it meant."""
    name = image.uri.partition("@")[0]
    repository, _, tag = name.rpartition(":")
    resolved = f"{repository if repository and '/' not in tag else name}@{image.id}"
    return CodeLocation(repository_type="ECR", image_uri=image.uri, resolved_image_uri=resolved)
