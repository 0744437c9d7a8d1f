"""The sales of the day before a moment, product by product."""

import csv
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

LEDGER = Path(__file__).with_name("ledger.csv")


def handler(event, context):
    """`event` is what a schedule sends: EventBridge's, of which only `time` is looked at."""
    moment = datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%SZ")
    day = (moment - timedelta(days=1)).date().isoformat()
    report = {"day": day, **summed_up(sales_of(day))}
    print(f"{report['sales']} sales on {day}, {report['revenue']} in all")
    return report


def sales_of(day):
    """The lines of the ledger that are of one day."""
    with LEDGER.open(newline="") as lines:
        return [sale for sale in csv.DictReader(lines) if sale["day"] == day]


def summed_up(sales):
    """How many sales, what they brought, and how much of each product; amounts are text, so that no cent is lost."""
    pieces, revenue = Counter(), Decimal()
    for sale in sales:
        pieces[sale["product"]] += int(sale["quantity"])
        revenue += int(sale["quantity"]) * Decimal(sale["price"])
    return {"sales": len(sales), "revenue": f"{revenue:.2f}", "pieces": dict(sorted(pieces.items()))}
