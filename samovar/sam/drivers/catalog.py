"""Which driver makes which kind of thing."""

from __future__ import annotations

from typing import Final

from samovar.sam.drivers.buckets import BucketDriver, NoticeDriver
from samovar.sam.drivers.functions import FunctionDriver
from samovar.sam.drivers.layers import LayerDriver
from samovar.sam.drivers.qualified import AliasDriver, EventInvokeDriver, ProvisionedDriver, UrlDriver
from samovar.sam.drivers.queues import MappingDriver, QueueDriver
from samovar.sam.drivers.schedules import ScheduleDriver
from samovar.sam.item import Driver

DRIVERS: Final[dict[str, Driver]] = {
    "AWS::Lambda::Function": FunctionDriver(),
    "AWS::Lambda::Alias": AliasDriver(),
    "AWS::Lambda::Url": UrlDriver(),
    "AWS::Lambda::EventInvokeConfig": EventInvokeDriver(),
    "AWS::Lambda::EventSourceMapping": MappingDriver(),
    "AWS::Lambda::LayerVersion": LayerDriver(),
    "AWS::SQS::Queue": QueueDriver(),
    "AWS::S3::Bucket": BucketDriver(),
    "AWS::Scheduler::Schedule": ScheduleDriver(),
    "Samovar::Provisioned": ProvisionedDriver(),
    "Samovar::Notice": NoticeDriver(),
}
"""In no order; what is removed goes in the reverse order of its making."""
