"""Who may call a function: AddPermission, RemovePermission, GetPolicy."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import Request, Response

from gateway.functions import policy
from gateway.functions.record import Attached, FunctionRecord, attached_to, with_attached
from gateway.lambda_api.edge import Named, UsesFunctions, UsesServices, answer, find, no_content
from gateway.lambda_api.models import (
    AddPermissionRequest,
    PolicyAnswer,
    RemovePermissionRequest,
    StatementAnswer,
)
from gateway.lambda_api.operations import Operations, asked
from gateway.lambda_api.qualifiers import check_qualifier, revision_of
from samovar.errors import InvalidParameterValue, PreconditionFailed, ResourceNotFound
from samovar.names import LATEST, FunctionReference, function_arn, new_request_id

router = Operations()


@router.operation("AddPermission")
async def add_permission(
    request: Request, reference: Named, services: UsesServices, functions: UsesFunctions
) -> Response:
    """AddPermission."""
    wanted = asked(request, AddPermissionRequest)
    if reference.qualifier == LATEST:
        raise InvalidParameterValue("We currently do not support adding policies for $LATEST.")
    added = _statement(wanted, _resource(reference))
    await check_qualifier(services, reference)
    own = await revision_of(services, reference)

    def edit(record: FunctionRecord) -> FunctionRecord:
        check_revision(record, reference, own, wanted.revision_id)
        return with_policy(record, reference, policy.with_statement(policy_of(record, reference), added))

    await functions.attach(reference.arn, edit)
    return answer(StatementAnswer(policy.written(added)), 201)


@router.operation("RemovePermission")
async def remove_permission(
    request: Request, reference: Named, services: UsesServices, functions: UsesFunctions
) -> Response:
    """RemovePermission."""
    wanted = asked(request, RemovePermissionRequest)
    try:
        await find(services, reference._replace(qualifier=None))
    except ResourceNotFound as error:
        raise ResourceNotFound(f"No policy found for: {_resource(reference)}") from error
    await check_qualifier(services, reference)
    own = await revision_of(services, reference)

    def edit(record: FunctionRecord) -> FunctionRecord:
        left = policy.without_statement(policy_of(record, reference), wanted.statement_id)
        check_revision(record, reference, own, wanted.revision_id)
        return with_policy(record, reference, left)

    await functions.attach(reference.arn, edit)
    return no_content()


@router.operation("GetPolicy")
async def get_policy(reference: Named, services: UsesServices) -> Response:
    """GetPolicy."""
    try:
        record = await find(services, reference._replace(qualifier=None))
    except ResourceNotFound as error:
        raise _absent() from error
    statements = policy_of(record, reference)
    if not statements:
        raise _absent()
    return answer(PolicyAnswer(policy.document(statements), revision(record, reference, record.version.revision_id)))


def _statement(wanted: AddPermissionRequest, resource: str) -> dict[str, Any]:
    via_url = wanted.invoked_via_function_url
    condition: dict[str, dict[str, str | None]] = {
        "StringEquals": {
            "AWS:SourceAccount": wanted.source_account,
            "lambda:EventSourceToken": wanted.event_source_token,
            "lambda:FunctionUrlAuthType": wanted.function_url_auth_type,
            "aws:PrincipalOrgID": wanted.principal_org_id,
        },
        "ArnLike": {"AWS:SourceArn": wanted.source_arn},
        "Bool": {"lambda:InvokedViaFunctionUrl": None if via_url is None else str(via_url).lower()},
    }
    return policy.statement(wanted.statement_id, wanted.principal, wanted.action, resource, condition)


def _resource(reference: FunctionReference) -> str:
    return function_arn(reference.account or "", reference.region or "", reference.name, reference.qualifier)


def policy_of(record: FunctionRecord, reference: FunctionReference) -> policy.Statements:
    """The policy of what a reference means."""
    return attached_to(record, reference.qualifier).policy


def with_policy(record: FunctionRecord, reference: FunctionReference, statements: policy.Statements) -> FunctionRecord:
    """The function when what a reference means has another policy."""

    def edit(found: Attached) -> Attached:
        return msgspec.structs.replace(
            found, policy=statements, policy_revision_id=new_request_id() if statements else ""
        )

    return with_attached(record, reference.qualifier, edit)


def revision(record: FunctionRecord, reference: FunctionReference, own: str) -> str:
    """The revision of a policy, which changes with it alone; until it has one, `own`, that of what it is on."""
    return attached_to(record, reference.qualifier).policy_revision_id or own


def check_revision(record: FunctionRecord, reference: FunctionReference, own: str, given: str | None) -> None:
    """Raise `PreconditionFailed` if a revision is given and is not the policy's; a function's own will do as well."""
    is_whole = reference.qualifier in (None, LATEST)
    known = {revision(record, reference, own), *([record.version.revision_id] if is_whole else [])}
    if given is not None and given not in known:
        where = "GetFunction/GetAlias" if is_whole else "GetPolicy"
        raise PreconditionFailed(
            "The Revision Id provided does not match the latest Revision Id. "
            f"Call the {where} API to retrieve the latest Revision Id"
        )


def _absent() -> ResourceNotFound:
    return ResourceNotFound("The resource you requested does not exist.")
