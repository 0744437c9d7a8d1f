"""Sleeps for the milliseconds in `?ms=`."""

import time


def handler(event, context):
    """A call that waits for something else, as most do."""
    time.sleep(float((event.get("queryStringParameters") or {}).get("ms", 100)) / 1000)
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": '{"ok": true}'}
