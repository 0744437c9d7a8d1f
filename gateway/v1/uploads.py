"""The uploads that start a function, as its manifest has them. Each is a notification configuration of its bucket."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from gateway.lambda_api.body import read
from gateway.lambda_api.edge import InPath, UsesServices, answer, find
from gateway.services import Services
from gateway.uploads.asking import BUCKET
from gateway.uploads.destinations import Destinations
from gateway.uploads.refusals import S3Error
from gateway.uploads.rule_book import RuleBook
from gateway.uploads.rules import TOLD, Rule, check_events
from gateway.v1.schema import described
from samovar.errors import InvalidParameterValue
from samovar.upload_triggers import UploadTrigger, UploadTriggers

router = APIRouter(prefix="/functions/{name}/uploads")


@router.get("", responses=described.answers(UploadTriggers))
async def get_uploads(reference: InPath, services: UsesServices) -> Response:
    """What a deployment asked for; configurations that were put at buckets by other names are not among them."""
    await find(services, reference)
    return answer(UploadTriggers(triggers=tuple(await _present(services, reference.arn))))


@router.put("", responses=described.answers(UploadTriggers), openapi_extra=described.takes(UploadTriggers))
async def put_uploads(request: Request, reference: InPath, services: UsesServices) -> Response:
    """Replace what a function asks for. Buckets that are missing are made."""
    await find(services, reference)
    wanted = await read(request, UploadTriggers)
    for trigger in wanted.triggers:
        if not BUCKET.fullmatch(trigger.bucket):
            raise InvalidParameterValue(f"{trigger.bucket!r} is no name of a bucket")
    try:
        await _replace(services, reference.arn, wanted.triggers)
    except S3Error as error:
        raise InvalidParameterValue(error.message) from error
    return answer(wanted)


def _mark(arn: str) -> str:
    """How the names of a function's own configurations begin."""
    return f"samovar:{arn.split(':', 6)[6]}:"


async def _present(services: Services, arn: str) -> list[UploadTrigger]:
    found = []
    for bucket, rules in (await RuleBook(services.redis).all()).items():
        for rule in rules:
            if rule.id.startswith(_mark(arn)) and rule.arn == arn:
                trigger = UploadTrigger(bucket=bucket, events=rule.events, prefix=rule.prefix, suffix=rule.suffix)
                found.append((rule.id, trigger))
    return [trigger for _, trigger in sorted(found, key=lambda pair: int(pair[0].rpartition(":")[2]))]


async def _replace(services: Services, arn: str, triggers: Sequence[UploadTrigger]) -> None:
    book, destinations = RuleBook(services.redis), Destinations(services)
    present = await book.all()
    wanted: dict[str, list[Rule]] = {}
    for number, each in enumerate(triggers, start=1):
        check_events(
            each.events, TOLD
        )  # S3's own API takes more names; in one's own file, one that never comes is a slip
        rule = Rule(id=f"{_mark(arn)}{number}", arn=arn, events=each.events, prefix=each.prefix, suffix=each.suffix)
        wanted.setdefault(each.bucket, []).append(rule)
    for bucket in wanted:
        await services.objects.create_bucket(bucket)
    for bucket in sorted(present.keys() | wanted.keys()):
        others = [rule for rule in present.get(bucket, []) if not (rule.id.startswith(_mark(arn)) and rule.arn == arn)]
        rules = [*others, *wanted.get(bucket, [])]
        if rules != present.get(bucket, []):
            await book.replace(bucket, rules, destinations.check)
