"""Whole policies of functions, versions and aliases: Put, Get and DeleteResourcePolicy.

They are the same policies that AddPermission adds to, statement by statement.
"""

from __future__ import annotations

from fastapi import Request, Response

from gateway.functions import policy
from gateway.functions.record import FunctionRecord
from gateway.lambda_api.edge import Region, UsesFunctions, UsesServices, answer, find, no_content, resolve
from gateway.lambda_api.models import PolicyAnswer, ResourcePolicyName, ResourcePolicyRequest
from gateway.lambda_api.operations import Operations, asked
from gateway.lambda_api.permissions import check_revision, policy_of, revision, with_policy
from gateway.lambda_api.qualifiers import check_qualifier, revision_of
from gateway.services import Services
from samovar.errors import ResourceNotFound
from samovar.names import FunctionReference

router = Operations()


@router.operation("PutResourcePolicy")
async def put_resource_policy(
    request: Request, region: Region, services: UsesServices, functions: UsesFunctions
) -> Response:
    """PutResourcePolicy: in place of whatever policy there was."""
    wanted = asked(request, ResourcePolicyRequest)
    reference = await _named(services, region, wanted.resource_arn)
    statements = policy.parsed(wanted.policy)
    own = await revision_of(services, reference)

    def edit(record: FunctionRecord) -> FunctionRecord:
        check_revision(record, reference, own, wanted.revision_id)
        return with_policy(record, reference, statements)

    record = await functions.attach(reference.arn, edit)
    return answer(PolicyAnswer(policy.document(statements), revision(record, reference, own)))


@router.operation("GetResourcePolicy")
async def get_resource_policy(request: Request, region: Region, services: UsesServices) -> Response:
    """GetResourcePolicy."""
    reference = await _named(services, region, asked(request, ResourcePolicyName).resource_arn)
    record = await find(services, reference._replace(qualifier=None))
    statements = policy_of(record, reference)
    if not statements:
        raise _absent()
    return answer(PolicyAnswer(policy.document(statements), revision(record, reference, record.version.revision_id)))


@router.operation("DeleteResourcePolicy")
async def delete_resource_policy(
    request: Request, region: Region, services: UsesServices, functions: UsesFunctions
) -> Response:
    """DeleteResourcePolicy."""
    wanted = asked(request, ResourcePolicyName)
    reference = await _named(services, region, wanted.resource_arn)
    own = await revision_of(services, reference)

    def edit(record: FunctionRecord) -> FunctionRecord:
        if not policy_of(record, reference):
            raise _absent()
        check_revision(record, reference, own, wanted.revision_id)
        return with_policy(record, reference, ())

    await functions.attach(reference.arn, edit)
    return no_content()


async def _named(services: Services, region: str, arn: str) -> FunctionReference:
    """The function, version or alias an ARN means. Raises `ResourceNotFound`, also for runtimes, which have none."""
    if arn.split(":")[5] != "function":
        raise _absent()
    reference = resolve(services, region, arn)
    await check_qualifier(services, reference)
    return reference


def _absent() -> ResourceNotFound:
    return ResourceNotFound("The resource you requested does not exist.")
