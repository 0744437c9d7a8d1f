"""Imports what takes long to import, and sleeps for the milliseconds in `?ms=`."""

import time

import numpy as np
import pandas as pd

FRAME = pd.DataFrame({"x": np.arange(10)})


def handler(event, context):
    """Answers with a sum, so that nobody has imported in vain."""
    time.sleep(float((event.get("queryStringParameters") or {}).get("ms", 0)) / 1000)
    return {"statusCode": 200, "headers": {"content-type": "text/plain"}, "body": str(FRAME["x"].sum())}
