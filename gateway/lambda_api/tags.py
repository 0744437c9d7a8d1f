"""Tags: TagResource, UntagResource, ListTags."""

from __future__ import annotations

from fastapi import Request, Response

from gateway.lambda_api.edge import answer, no_content
from gateway.lambda_api.models import TagKeys, Tags
from gateway.lambda_api.operations import Operations, asked
from gateway.lambda_api.taggable import NamedTaggable
from samovar.errors import InvalidParameterValue

router = Operations()


@router.operation("TagResource")
async def tag_resource(request: Request, resource: NamedTaggable) -> Response:
    """TagResource: add tags, or replace the values of those that are there."""
    added = asked(request, Tags).tags
    if not added:
        raise InvalidParameterValue("An error occurred and the request cannot be processed.")
    await resource.retag(lambda tags: {**tags, **added})
    return no_content()


@router.operation("UntagResource")
async def untag_resource(request: Request, resource: NamedTaggable) -> Response:
    """UntagResource: remove tags; those that are not there are no error."""
    keys = asked(request, TagKeys).tag_keys
    await resource.retag(lambda tags: {key: value for key, value in tags.items() if key not in keys})
    return no_content()


@router.operation("ListTags")
async def list_tags(resource: NamedTaggable) -> Response:
    """ListTags."""
    return answer(Tags(dict(await resource.tags())))
