"""`samovar queues`: queues and what is in them. Everything else they can do, any client of SQS does."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from samovar.cli.options import DEFAULT_ENDPOINT, Endpoint, Json

if TYPE_CHECKING:
    from samovar.clients.queues import Sqs

Name = Annotated[str, typer.Argument(metavar="NAME", help="The queue.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(
        no_args_is_help=True, help="Queues, which are SQS's: ls, create, send, receive, redrive, purge, delete."
    )
    for command in (ls, create, send, receive, redrive, purge, delete):
        group.command(command.__name__)(command)
    app.add_typer(group, name="queues")


def ls(
    prefix: Annotated[str | None, typer.Argument(metavar="PREFIX", help="Only names that begin so.")] = None,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """List queues with how many messages they have."""
    from samovar.cli.output import print_json, stdout, table
    from samovar.clients.queues import Sqs

    with Sqs(endpoint) as sqs:
        found = {url: sqs.attributes(url) for url in sqs.urls(prefix)}
    if as_json:
        print_json([{"QueueUrl": url, "Attributes": attributes} for url, attributes in found.items()])
        return
    drawn = table("NAME", ">VISIBLE", ">IN FLIGHT", ">DELAYED", "DEAD LETTERS TO")
    for url, attributes in found.items():
        counts = [attributes[f"ApproximateNumberOfMessages{kind}"] for kind in ("", "NotVisible", "Delayed")]
        drawn.add_row(url.rpartition("/")[2], *counts, _dead_letters(attributes))
    stdout().print(drawn)


def create(
    name: Name,
    attributes: Annotated[
        list[str] | None,
        typer.Option(
            "--attribute", metavar="NAME=VALUE", help="As SQS has them: VisibilityTimeout=60. May be repeated."
        ),
    ] = None,
    dead_letters: Annotated[
        str | None,
        typer.Option("--dead-letter-queue", metavar="QUEUE", help="Where messages go that are received too often."),
    ] = None,
    max_receives: Annotated[int, typer.Option("--max-receives", min=1, max=1000, help="How often that is.")] = 5,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Make a queue, and print its URL. A name that ends with .fifo makes a FIFO queue."""
    import msgspec

    from samovar.clients.queues import Sqs

    given = dict(_assignment(text) for text in attributes or ())
    if name.endswith(".fifo"):
        given.setdefault("FifoQueue", "true")
    with Sqs(endpoint) as sqs:
        if dead_letters is not None:
            target = sqs.attributes(sqs.url(dead_letters))["QueueArn"]
            policy = {"deadLetterTargetArn": target, "maxReceiveCount": max_receives}
            given["RedrivePolicy"] = msgspec.json.encode(policy).decode()
        answer = sqs.call("CreateQueue", QueueName=name, Attributes=given)
    _tell(answer, answer["QueueUrl"], as_json=as_json)


def send(
    name: Name,
    body: Annotated[
        str, typer.Argument(metavar="TEXT", help="The message; - reads it from stdin.", show_default=False)
    ],
    group: Annotated[
        str | None, typer.Option("--group", metavar="ID", help="Its group, which FIFO queues need.")
    ] = None,
    deduplication_id: Annotated[
        str | None, typer.Option("--deduplication-id", metavar="ID", help="What tells it from others, in FIFO queues.")
    ] = None,
    delay: Annotated[int | None, typer.Option("--delay", metavar="SECONDS", help="Until it can be received.")] = None,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Send a message, and print its id."""
    from samovar.clients.queues import Sqs

    text = sys.stdin.read() if body == "-" else body
    with Sqs(endpoint) as sqs:
        answer = sqs.call(
            "SendMessage",
            QueueUrl=sqs.url(name),
            MessageBody=text,
            DelaySeconds=delay,
            MessageGroupId=group,
            MessageDeduplicationId=deduplication_id,
        )
    _tell(answer, answer["MessageId"], as_json=as_json)


def receive(
    name: Name,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=10, help="At most so many.")] = 1,
    wait: Annotated[int, typer.Option("--wait", min=0, max=20, metavar="SECONDS", help="For the first one.")] = 0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave them there, received once more.")] = False,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Receive messages, print their bodies, and delete them unless told to keep them."""
    from samovar.cli.output import print_json
    from samovar.clients.queues import Sqs

    with Sqs(endpoint) as sqs:
        url = sqs.url(name)
        found = sqs.call(
            "ReceiveMessage",
            QueueUrl=url,
            MaxNumberOfMessages=count,
            WaitTimeSeconds=wait,
            VisibilityTimeout=0 if keep else None,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        if as_json:
            print_json(found)
        else:
            for message in found:
                typer.echo(message["Body"])
        if not keep:
            _delete(sqs, url, found)
    if not found:
        sys.stderr.write("no messages to receive\n")


def redrive(
    name: Name,
    to: Annotated[str | None, typer.Option("--to", metavar="QUEUE", help="Not back, but to this queue.")] = None,
    rate: Annotated[int | None, typer.Option("--rate", min=1, max=500, help="Messages a second.")] = None,
    as_json: Json = False,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
) -> None:
    """Move the messages of a dead-letter queue back to where they came from, and say how many there were."""
    import time

    from samovar.clients.queues import Sqs
    from samovar.errors import CallerError

    with Sqs(endpoint) as sqs:
        source = sqs.attributes(sqs.url(name))["QueueArn"]
        target = None if to is None else sqs.attributes(sqs.url(to))["QueueArn"]
        sqs.call("StartMessageMoveTask", SourceArn=source, DestinationArn=target, MaxNumberOfMessagesPerSecond=rate)
        while True:
            task = sqs.call("ListMessageMoveTasks", SourceArn=source)["Results"][0]
            if task["Status"] not in ("RUNNING", "CANCELLING"):
                break
            time.sleep(0.1)
    moved = task["ApproximateNumberOfMessagesMoved"]
    if task["Status"] == "FAILED":
        raise CallerError(f"{moved} messages were moved, then it ended: {task['FailureReason']}")
    _tell(task, f"{moved} moved", as_json=as_json)


def purge(name: Name, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """Forget all messages of a queue."""
    from samovar.clients.queues import Sqs

    with Sqs(endpoint) as sqs:
        sqs.call("PurgeQueue", QueueUrl=sqs.url(name))
    typer.echo(f"{name} is empty")


def delete(name: Name, endpoint: Endpoint = DEFAULT_ENDPOINT) -> None:
    """Delete a queue with its messages."""
    from samovar.clients.queues import Sqs

    with Sqs(endpoint) as sqs:
        sqs.call("DeleteQueue", QueueUrl=sqs.url(name))
    typer.echo(f"{name} is deleted")


def _delete(sqs: Sqs, url: str, messages: list[dict[str, Any]]) -> None:
    entries = [{"Id": str(at), "ReceiptHandle": one["ReceiptHandle"]} for at, one in enumerate(messages)]
    if entries:
        sqs.call("DeleteMessageBatch", QueueUrl=url, Entries=entries)


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise typer.BadParameter(f"{text!r} is no attribute with a value; write VisibilityTimeout=60")
    return name, value


def _dead_letters(attributes: dict[str, str]) -> str:
    import msgspec

    policy = attributes.get("RedrivePolicy")
    return "-" if policy is None else str(msgspec.json.decode(policy)["deadLetterTargetArn"]).rpartition(":")[2]


def _tell(answer: dict[str, Any], line: str, *, as_json: bool) -> None:
    from samovar.cli.output import print_json

    if as_json:
        print_json(answer)
    else:
        typer.echo(line)
