"""Which driver makes which kind of thing."""

from __future__ import annotations

from typing import Final

from samovar.sam.drivers.buckets import BucketDriver, NoticeDriver
from samovar.sam.drivers.functions import FunctionDriver
from samovar.sam.drivers.layers import LayerDriver
from samovar.sam.drivers.logs import LogGroupDriver
from samovar.sam.drivers.permissions import PermissionDriver
from samovar.sam.drivers.qualified import AliasDriver, EventInvokeDriver, ProvisionedDriver, UrlDriver, VersionDriver
from samovar.sam.drivers.queues import MappingDriver, QueueDriver, QueuePolicyDriver
from samovar.sam.drivers.schedules import ScheduleDriver, ScheduleGroupDriver
from samovar.sam.item import Driver

DRIVERS: Final[dict[str, Driver]] = {
    "AWS::Lambda::Function": FunctionDriver(),
    "AWS::Lambda::Alias": AliasDriver(),
    "AWS::Lambda::Url": UrlDriver(),
    "AWS::Lambda::EventInvokeConfig": EventInvokeDriver(),
    "AWS::Lambda::EventSourceMapping": MappingDriver(),
    "AWS::Lambda::LayerVersion": LayerDriver(),
    "AWS::Lambda::Permission": PermissionDriver(),
    "AWS::Lambda::Version": VersionDriver(),
    "AWS::Logs::LogGroup": LogGroupDriver(),
    "AWS::SQS::Queue": QueueDriver(),
    "AWS::SQS::QueuePolicy": QueuePolicyDriver(),
    "AWS::S3::Bucket": BucketDriver(),
    "AWS::Scheduler::Schedule": ScheduleDriver(),
    "AWS::Scheduler::ScheduleGroup": ScheduleGroupDriver(),
    "Samovar::Provisioned": ProvisionedDriver(),
    "Samovar::Notice": NoticeDriver(),
}
"""In no order; what is removed goes in the reverse order of its making."""
