"""Operations on queues themselves."""

from __future__ import annotations

from typing import Final

from gateway.queues import attributes, names, permissions
from gateway.queues.api import requests
from gateway.queues.api.call import MOST_RESULTS, Answer, Call, behind, check_range, token_of
from gateway.queues.errors import InvalidParameter, QueueDoesNotExist

_MOST_TAGS: Final = 50
_MOST_KEY_CHARACTERS: Final = 128
_MOST_VALUE_CHARACTERS: Final = 256


async def create(call: Call, given: requests.CreateQueue) -> Answer:
    """CreateQueue."""
    _check_tags(given.tags or {})
    queue = await call.queues.create(call.named(given.queue_name), given.attributes, given.tags)
    return {"QueueUrl": call.url(queue.arn)}


async def find_url(call: Call, given: requests.GetQueueUrl) -> Answer:
    """GetQueueUrl."""
    if given.owner not in (None, "", call.queues.account) or names.in_path(given.queue_name) is None:
        raise QueueDoesNotExist
    return {"QueueUrl": call.url((await call.queues.get(str(call.named(given.queue_name)))).arn)}


async def list_all(call: Call, given: requests.ListQueues) -> Answer:
    """ListQueues. Without `MaxResults` there is no way to a second page."""
    check_range("MaxResults", given.max_results, 1, MOST_RESULTS)
    prefix = str(call.named(given.queue_name_prefix or ""))
    arns, more = await call.queues.store.page(prefix, behind(given.next_token), given.max_results or MOST_RESULTS)
    return _listed(call, "QueueUrls", arns, more and given.max_results is not None)


async def list_sources(call: Call, given: requests.ListDeadLetterSourceQueues) -> Answer:
    """ListDeadLetterSourceQueues."""
    check_range("MaxResults", given.max_results, 1, MOST_RESULTS)
    queue = await call.queues.get(call.arn(given.queue_url))
    after = behind(given.next_token)
    arns = [arn for arn in await call.queues.store.sources(queue.arn) if arn > after]
    most = given.max_results or MOST_RESULTS
    return {"queueUrls": []} | _listed(call, "queueUrls", arns[:most], len(arns) > most)


async def delete(call: Call, given: requests.OfQueue) -> None:
    """DeleteQueue."""
    await call.queues.delete_queue(call.arn(given.queue_url))


async def purge(call: Call, given: requests.OfQueue) -> None:
    """PurgeQueue."""
    await call.queues.purge(call.arn(given.queue_url))


async def get_attributes(call: Call, given: requests.GetQueueAttributes) -> Answer:
    """GetQueueAttributes. Only what is asked for is counted."""
    wanted = attributes.known(given.attribute_names or ())
    arn = call.arn(given.queue_url)
    queue = await call.queues.get(arn)
    found = queue.attributes | {
        "QueueArn": queue.arn,
        "CreatedTimestamp": str(queue.created),
        "LastModifiedTimestamp": str(queue.modified),
    }
    if wanted.intersection(attributes.COUNTS):
        counts = await call.queues.counts(arn)
        found |= zip(attributes.COUNTS, map(str, counts[:3]), strict=True)
    shown = {name: found[name] for name in sorted(wanted & found.keys())}
    return {"Attributes": shown} if shown else {}


async def set_attributes(call: Call, given: requests.SetQueueAttributes) -> None:
    """SetQueueAttributes."""
    await call.queues.set_attributes(call.arn(given.queue_url), given.attributes)


async def list_tags(call: Call, given: requests.OfQueue) -> Answer:
    """ListQueueTags."""
    tags = (await call.queues.get(call.arn(given.queue_url))).tags
    return {"Tags": tags} if tags else {}


async def tag(call: Call, given: requests.TagQueue) -> None:
    """TagQueue."""
    arn = call.arn(given.queue_url)
    _check_tags((await call.queues.get(arn)).tags | given.tags)
    await call.queues.tag(arn, given.tags)


async def untag(call: Call, given: requests.UntagQueue) -> None:
    """UntagQueue."""
    await call.queues.tag(call.arn(given.queue_url), {}, given.tag_keys)


async def add_permission(call: Call, given: requests.AddPermission) -> None:
    """AddPermission: one more statement in the queue's policy."""
    arn = call.arn(given.queue_url)
    permission = permissions.Permission(given.label, given.accounts, given.actions)
    policy = (await call.queues.get(arn)).attributes.get("Policy", "")
    await call.queues.set_attributes(arn, {"Policy": permissions.added(policy, arn, permission)})


async def remove_permission(call: Call, given: requests.RemovePermission) -> None:
    """RemovePermission."""
    arn = call.arn(given.queue_url)
    policy = (await call.queues.get(arn)).attributes.get("Policy", "")
    await call.queues.set_attributes(arn, {"Policy": permissions.removed(policy, given.label)})


def _listed(call: Call, member: str, arns: list[str], more: bool) -> Answer:
    found: Answer = {member: [call.url(arn) for arn in arns]} if arns else {}
    return found | {"NextToken": token_of(arns[-1])} if more else found


def _check_tags(tags: dict[str, str]) -> None:
    if len(tags) > _MOST_TAGS:
        raise InvalidParameter(f"Too many tags: a queue has at most {_MOST_TAGS}.")
    for key, value in tags.items():
        if not 1 <= len(key) <= _MOST_KEY_CHARACTERS or key.lower().startswith("aws:"):
            raise InvalidParameter(
                f"Tag key {key!r} has not 1 to {_MOST_KEY_CHARACTERS} characters, or begins with aws:."
            )
        if len(value) > _MOST_VALUE_CHARACTERS:
            raise InvalidParameter(f"The value of tag {key!r} has more than {_MOST_VALUE_CHARACTERS} characters.")
