"""Works off a queue of orders: each is checked and summed up, and what cannot be taken goes back to the queue."""

import json
from decimal import Decimal


def handler(event, context):
    """Answers a batch of messages with those that failed, so that only they are delivered again."""
    failed = []
    for record in event["Records"]:
        try:
            order = json.loads(record["body"], parse_float=Decimal)
            print(f"order {order['order']}: {total_of(order)} in {len(order['lines'])} lines")
        except (ValueError, KeyError, TypeError) as error:
            print(f"message {record['messageId']} is no order: {type(error).__name__}: {error}")
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


def total_of(order):
    """What an order costs. Raises ValueError for one that nobody could have meant."""
    if not order["lines"]:
        raise ValueError("there is nothing in it")
    total = Decimal()
    for line in order["lines"]:
        if not isinstance(line["quantity"], int) or line["quantity"] < 1:
            raise ValueError(f"{line['quantity']} of {line['sku']} cannot be sold")
        total += line["quantity"] * Decimal(line["price"])
    return total.quantize(Decimal("0.01"))
