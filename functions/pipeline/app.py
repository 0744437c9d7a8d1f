"""A text that is put into a bucket is cut into chapters; each is read by itself, and what is in it kept as JSON."""

import json
import os
import re
from collections import Counter
from functools import cache
from urllib.parse import unquote_plus

import boto3

MOST_COMMON = 5
_BREAK = re.compile(r"\n(?=chapter\b)", re.IGNORECASE)
_WORD = re.compile(r"\w+(?:['\N{RIGHT SINGLE QUOTATION MARK}]\w+)*")


def handler(event, context):
    """Takes uploads, messages with chapters, and, to try it, `{"text": …}`."""
    records = event.get("Records")
    if not records:
        return [read(chapter) for chapter in chapters(event["text"])]
    if records[0]["eventSource"] == "aws:s3":
        return [cut(record["s3"]) for record in records]
    return {"batchItemFailures": [{"itemIdentifier": id} for id in map(keep, records) if id]}


def cut(told):
    """Sends the chapters of a text to the queue; returns how many there are."""
    bucket, key = told["bucket"]["name"], unquote_plus(told["object"]["key"])
    text = client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    sqs = client("sqs")
    url = sqs.get_queue_url(QueueName=os.environ["CHAPTERS"])["QueueUrl"]
    found = chapters(text)
    for number, chapter in enumerate(found, start=1):
        body = {"text": key, "chapter": number, "of": len(found), "content": chapter}
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body))
    return len(found)


def keep(record):
    """Puts what is in a chapter into the bucket of results; returns the message's id when that failed."""
    try:
        sent = json.loads(record["body"])
        result = {"chapter": sent["chapter"], "of": sent["of"], **read(sent["content"])}
        name = f"{sent['text'].removesuffix('.txt')}/{sent['chapter']:03}.json"
        client("s3").put_object(
            Bucket=os.environ["RESULTS"], Key=name, Body=json.dumps(result), ContentType="application/json"
        )
    except Exception as error:  # noqa: BLE001 - the others of the batch are done all the same
        print(f"message {record['messageId']} failed: {type(error).__name__}: {error}")
        return record["messageId"]
    return None


def chapters(text):
    """The parts of a text that begin with a line `Chapter …`, and what is before the first."""
    return [part.strip() for part in _BREAK.split(f"\n{text}") if part.strip()]


def read(chapter):
    """What is in a chapter."""
    title, _, _ = chapter.partition("\n")
    words = _WORD.findall(chapter.lower())
    return {"title": title[:80], "words": len(words), "common": dict(Counter(words).most_common(MOST_COMMON))}


@cache
def client(service):
    """A client of the platform that runs this function, which the environment names."""
    return boto3.client(service)
