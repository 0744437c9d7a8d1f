"""Statistics of a table, group by group."""

import base64
import csv
import io
import json

import numpy as np

DIGITS = 4
QUARTILES = ("min", "q1", "median", "q3", "max")


class Refused(Exception):
    """The request is at fault."""


def handler(event, context):
    """Answers `{"csv": …, "group_by": column}` with statistics, and HTTP (CSV as body, `?group_by=`) alike."""
    if "requestContext" not in event:
        return report(event["csv"], event["group_by"])
    try:
        column = (event.get("queryStringParameters") or {}).get("group_by")
        if column is None:
            raise Refused("say which column to group by: ?group_by=COLUMN")
        status, result = 200, report(body_of(event), column)
    except Refused as refusal:
        status, result = 400, {"error": str(refusal)}
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(result)}


def report(text, group_by):
    """The statistics of each numeric column in each group; an empty cell is a missing value."""
    table = columns_of(text)
    if group_by not in table:
        raise Refused(f"there is no column {group_by!r}; there are {', '.join(table)}")
    groups, membership = np.unique(table.pop(group_by), return_inverse=True)
    numeric = {name: values for name, cells in table.items() if (values := numbers(cells)) is not None}
    return {
        "rows": len(membership),
        "group_by": group_by,
        "left_out": [name for name in table if name not in numeric],
        "groups": {
            str(group): {name: statistics(values[membership == index]) for name, values in numeric.items()}
            for index, group in enumerate(groups)
        },
    }


def columns_of(text):
    """CSV with a heading line as an array of cells per column."""
    heading, *rows = list(csv.reader(io.StringIO(text), skipinitialspace=True)) or [[]]
    rows = [row for row in rows if row]
    if not rows:
        raise Refused("the table needs a heading and at least one row")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(heading):
            raise Refused(f"row {number} has {len(row)} cells, the heading {len(heading)}")
    return dict(zip(heading, np.array(rows).T, strict=True))


def numbers(cells):
    """The cells as numbers, missing ones as NaN; `None` if one is text."""
    try:
        return np.where(cells == "", "nan", cells).astype(float)
    except ValueError:
        return None


def statistics(values):
    """What there is to say about some numbers, missing ones aside."""
    known = values[~np.isnan(values)]
    if not known.size:
        return {"count": 0}
    quartiles = np.percentile(known, [0, 25, 50, 75, 100])
    spread = known.std(ddof=1) if known.size > 1 else 0.0
    named = {"mean": known.mean(), "std": spread} | dict(zip(QUARTILES, quartiles, strict=True))
    return {"count": int(known.size)} | {name: round(float(value), DIGITS) for name, value in named.items()}


def body_of(event):
    """The text of an HTTP request. What is not declared as text arrives as Base64."""
    body = event.get("body") or ""
    try:
        return base64.b64decode(body).decode() if event["isBase64Encoded"] else body
    except UnicodeDecodeError as error:
        raise Refused(f"the body is not UTF-8 text: byte {error.start} is {error.reason}") from error
