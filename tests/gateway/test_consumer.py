"""A task that ends after the connection that brought it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection

from gateway.tasks.celery_app import broker_url
from gateway.tasks.consumer import _unless_gone
from tests.valkey import Valkey

_log = logging.getLogger(__name__)


@pytest.fixture
def broker(valkey: Valkey) -> Iterator[Connection]:
    with Connection(broker_url(valkey.url)) as connection:
        yield connection


def received(broker: Connection) -> Any:
    with broker.SimpleQueue("tests-of-consumers") as queue:
        queue.put({"n": 1})
    channel: Any = broker.channel()
    channel.queue_declare(queue="tests-of-consumers")
    message = channel.basic_get("tests-of-consumers")
    assert message is not None
    return message


def test_it_is_acknowledged_where_it_came_from(broker: Connection) -> None:
    message = received(broker)
    _unless_gone(message.ack_log_error, _log, broker.connection_errors)
    assert message.acknowledged


def test_what_came_from_a_connection_that_has_gone_is_left_to_the_broker(broker: Connection) -> None:
    message = received(broker)
    message.channel.do_restore = False
    broker.collect()
    with pytest.raises(AttributeError):
        message.ack_log_error(_log, broker.connection_errors)  # what would end the worker
    _unless_gone(message.ack_log_error, _log, broker.connection_errors)
    assert not message.acknowledged
