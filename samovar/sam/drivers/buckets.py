"""Buckets, and the notices of uploads by which they start functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from samovar.sam.item import Applied, Item
from samovar.sam.target import Target, is_missing


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketWanted:
    """A bucket as a template has it."""

    name: str
    versioning: str | None
    """`Enabled` or `Suspended`; `None` when the template says nothing."""


class BucketDriver:
    """`AWS::S3::Bucket`; the physical id is its name."""

    def apply(self, target: Target, item: Item) -> Applied:
        """See `Driver`."""
        wanted: BucketWanted = item.wanted
        aws, name, changed = target.aws("s3"), wanted.name, []
        if not _is_there(aws, name):
            aws.create_bucket(Bucket=name, **_located(target.region))
            changed.append("created")
        if wanted.versioning is not None and aws.get_bucket_versioning(Bucket=name).get("Status") != wanted.versioning:
            aws.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": wanted.versioning})
            changed.append("versioning")
        return Applied(physical_id=name, changed=changed, attributes={"": name, "Arn": f"arn:aws:s3:::{name}"})

    def remove(self, target: Target, physical_id: str) -> None:
        """See `Driver`. A bucket that holds objects is refused, as S3 does: nobody's uploads go with a template."""
        try:
            target.aws("s3").delete_bucket(Bucket=physical_id)
        except ClientError as error:
            if not is_missing(error):
                raise


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeWanted:
    """What a bucket tells a function or a queue."""

    bucket: str
    id: str
    target_arn: str
    events: list[str]
    filter: dict[str, Any] | None

    @property
    def is_for_a_queue(self) -> bool:
        """Whether it is told to a queue."""
        return self.target_arn.split(":")[2:3] == ["sqs"]

    def configuration(self) -> dict[str, Any]:
        """As S3 has it."""
        return {
            "Id": self.id,
            "QueueArn" if self.is_for_a_queue else "LambdaFunctionArn": self.target_arn,
            "Events": self.events,
            **({"Filter": self.filter} if self.filter else {}),
        }


class NoticeDriver:
    """One of the notices of a bucket; those of others stay. The physical id is `BUCKET/ID`."""

    def apply(self, target: Target, item: Item) -> Applied:
        """See `Driver`."""
        wanted: NoticeWanted = item.wanted
        is_so = self._change(target, wanted.bucket, wanted.id, wanted)
        return Applied(physical_id=f"{wanted.bucket}/{wanted.id}", changed=[] if is_so else ["notification"])

    def remove(self, target: Target, physical_id: str) -> None:
        """See `Driver`."""
        bucket, _, notice = physical_id.partition("/")
        try:
            self._change(target, bucket, notice, None)
        except ClientError as error:
            if not is_missing(error):
                raise

    def _change(self, target: Target, bucket: str, notice: str, wanted: NoticeWanted | None) -> bool:
        """Put one notice in place of the one of its id; whether it was so already."""
        aws = target.aws("s3")
        found = aws.get_bucket_notification_configuration(Bucket=bucket)
        found.pop("ResponseMetadata", None)
        is_so = True
        for kind in ("LambdaFunctionConfigurations", "QueueConfigurations"):
            there = found.get(kind, [])
            after = [one for one in there if one.get("Id") != notice]
            if wanted is not None and wanted.is_for_a_queue == (kind == "QueueConfigurations"):
                after.append(wanted.configuration())
            is_so = is_so and _compared(there) == _compared(after)
            found[kind] = after
        if not is_so:
            aws.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=found)
        return is_so


def _compared(notices: list[dict[str, Any]]) -> list[str]:
    """Notices without their order, and without the case of `Prefix` and `Suffix`."""
    return sorted(str(sorted(notice.items())).lower() for notice in notices)


def _is_there(aws: Any, name: str) -> bool:
    try:
        aws.head_bucket(Bucket=name)
    except ClientError as error:
        if is_missing(error):
            return False
        raise
    return True


def _located(region: str) -> dict[str, Any]:
    """S3 refuses to be told the one region that is its default."""
    return {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
