"""The function @NAME@."""

import json
import os


def handler(event, context):
    """Greet whoever the event names: `{"name": …}` through invoke, `?name=…` through HTTP."""
    query = event.get("queryStringParameters") or {}
    name = event.get("name") or query.get("name") or "world"
    print(f"greeting {name}")
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(f"{os.environ['GREETING']}, {name}!"),
    }
