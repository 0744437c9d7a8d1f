"""Log groups of functions: how long their lines are kept, and their tags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # it ships no types

from samovar.sam.item import Applied, Item
from samovar.sam.target import Target, is_missing


@dataclass(frozen=True, slots=True, kw_only=True)
class LogGroupWanted:
    """A log group as a template has it."""

    name: str
    retention_days: int | None
    tags: dict[str, str]


class LogGroupDriver:
    """`AWS::Logs::LogGroup`; the physical id is its name."""

    def apply(self, target: Target, item: Item) -> Applied:
        """See `Driver`."""
        wanted: LogGroupWanted = item.wanted
        aws, changed = target.aws("logs"), []
        current = _present(aws, wanted.name)
        if current is None:
            aws.create_log_group(logGroupName=wanted.name, **({"tags": wanted.tags} if wanted.tags else {}))
            current, changed = {}, ["created"]
        elif wanted.tags and wanted.tags.items() - aws.list_tags_log_group(logGroupName=wanted.name)["tags"].items():
            aws.tag_log_group(logGroupName=wanted.name, tags=wanted.tags)
            changed.append("tags")
        if current.get("retentionInDays") != wanted.retention_days:
            if wanted.retention_days is None:
                aws.delete_retention_policy(logGroupName=wanted.name)
            else:
                aws.put_retention_policy(logGroupName=wanted.name, retentionInDays=wanted.retention_days)
            changed.append("retention")
        arn = target.arn("logs", f"log-group:{wanted.name}:*")
        return Applied(physical_id=wanted.name, changed=changed, attributes={"": wanted.name, "Arn": arn})

    def remove(self, target: Target, physical_id: str) -> None:
        """See `Driver`. The lines go with it."""
        try:
            target.aws("logs").delete_log_group(logGroupName=physical_id)
        except ClientError as error:
            if not is_missing(error):
                raise


def _present(aws: Any, name: str) -> dict[str, Any] | None:
    groups: list[dict[str, Any]] = aws.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return next((group for group in groups if group["logGroupName"] == name), None)
