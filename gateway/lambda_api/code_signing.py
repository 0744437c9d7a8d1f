"""Code signing: there is no signer to check code with, so no configuration can be made, and none is ever found."""

from __future__ import annotations

from typing import NoReturn

from fastapi import Request, Response

from gateway.lambda_api.edge import NamedLatest, UsesServices, answer, find, no_content
from gateway.lambda_api.operations import Operations
from samovar.errors import CodeSigningConfigNotFound, InvalidParameterValue, ResourceNotFound

router = Operations()

WHY_NOT = "there is no AWS Signer to check code with; access keys say who may deploy"


@router.operation("CreateCodeSigningConfig")
async def create_code_signing_config() -> Response:
    """CreateCodeSigningConfig."""
    raise InvalidParameterValue(f"CreateCodeSigningConfig is not offered by Samovar: {WHY_NOT}")


@router.operation("ListCodeSigningConfigs")
async def list_code_signing_configs() -> Response:
    """ListCodeSigningConfigs."""
    return answer({"CodeSigningConfigs": []})


# Before GetCodeSigningConfig, whose path takes everything that begins as it does for an ARN.
@router.operation("ListFunctionsByCodeSigningConfig")
async def list_functions_by_code_signing_config(request: Request) -> Response:
    """ListFunctionsByCodeSigningConfig."""
    _absent(request)


@router.operation("GetCodeSigningConfig")
async def get_code_signing_config(request: Request) -> Response:
    """GetCodeSigningConfig."""
    _absent(request)


@router.operation("UpdateCodeSigningConfig")
async def update_code_signing_config(request: Request) -> Response:
    """UpdateCodeSigningConfig."""
    _absent(request)


@router.operation("DeleteCodeSigningConfig")
async def delete_code_signing_config(request: Request) -> Response:
    """DeleteCodeSigningConfig."""
    _absent(request)


@router.operation("PutFunctionCodeSigningConfig")
async def put_function_code_signing_config(request: Request) -> Response:
    """PutFunctionCodeSigningConfig."""
    raise CodeSigningConfigNotFound(
        "The code signing configuration cannot be found. "
        f"Check that the provided configuration is not deleted: {request.state.given['CodeSigningConfigArn']}."
    )


@router.operation("GetFunctionCodeSigningConfig")
async def get_function_code_signing_config(reference: NamedLatest, services: UsesServices) -> Response:
    """GetFunctionCodeSigningConfig: of a function that has none, which is no error to AWS."""
    await find(services, reference)
    return answer({"CodeSigningConfigArn": "", "FunctionName": reference.name})


@router.operation("DeleteFunctionCodeSigningConfig")
async def delete_function_code_signing_config(reference: NamedLatest, services: UsesServices) -> Response:
    """DeleteFunctionCodeSigningConfig: there is nothing to delete, which is no error to AWS."""
    await find(services, reference)
    return no_content()


def _absent(request: Request) -> NoReturn:
    arn = request.state.given["CodeSigningConfigArn"]
    raise ResourceNotFound(f"The Lambda code signing configuration {arn} can not be found.")
