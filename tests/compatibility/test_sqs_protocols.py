"""SQS's protocols by hand: forms and XML as older SDKs have them, JSON as it is on the wire."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.signing import Signing, key_for

NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"


@pytest.fixture
def http(endpoint: str) -> Iterator[httpx.Client]:
    """Signed requests for SQS."""
    with httpx.Client(base_url=endpoint, auth=Signing(key_for(endpoint), "sqs"), timeout=60) as client:
        yield client


@pytest.fixture
def url(http: httpx.Client) -> Iterator[str]:
    """The URL of a queue, made and deleted by forms."""
    made = ask(
        http, "CreateQueue", **{"QueueName": "forms", "Attribute.1.Name": "DelaySeconds", "Attribute.1.Value": "0"}
    )
    found = text(made, "CreateQueueResult/QueueUrl")
    yield found
    ask(http, "DeleteQueue", QueueUrl=found)


def ask(http: httpx.Client, action: str, path: str = "/", /, **fields: str) -> ET.Element:
    """One request of the query protocol, and its XML; `status` is what it is answered with."""
    status = int(fields.pop("status", 200))
    answer = http.post(path, data={"Action": action, "Version": "2012-11-05"} | fields)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/xml"
    root = ET.fromstring(answer.content)
    request_id = ".//RequestId".replace("R", f"{NAMESPACE}R")
    assert root.findtext(request_id) == answer.headers["x-amzn-requestid"]
    return root


def text(root: ET.Element, path: str) -> str:
    found = root.findtext("/".join(f"{NAMESPACE}{part}" for part in path.split("/")))
    assert found is not None, ET.tostring(root)
    return found


def every(root: ET.Element, path: str) -> list[ET.Element]:
    return root.findall("/".join(f"{NAMESPACE}{part}" for part in path.split("/")))


def test_a_message_goes_through_forms(http: httpx.Client, url: str) -> None:
    body = "a < b & c\r\n\t茶"
    sent = ask(
        http,
        "SendMessage",
        **{
            "QueueUrl": url,
            "MessageBody": body,
            "MessageAttribute.1.Name": "kind",
            "MessageAttribute.1.Value.DataType": "String",
            "MessageAttribute.1.Value.StringValue": "green",
            "MessageAttribute.2.Name": "leaf",
            "MessageAttribute.2.Value.DataType": "Binary",
            "MessageAttribute.2.Value.BinaryValue": base64.b64encode(b"\x00\x01").decode(),
        },
    )
    assert sent.tag == f"{NAMESPACE}SendMessageResponse"
    fields = {"QueueUrl": url, "AttributeName.1": "All", "MessageAttributeName.1": "All", "WaitTimeSeconds": "5"}
    received = ask(http, "ReceiveMessage", **fields)
    message = "ReceiveMessageResult/Message"
    assert text(received, f"{message}/Body") == body
    assert text(received, f"{message}/MessageId") == text(sent, "SendMessageResult/MessageId")
    assert text(received, f"{message}/MD5OfMessageAttributes") == text(sent, "SendMessageResult/MD5OfMessageAttributes")
    attributes = {text(one, "Name"): text(one, "Value") for one in every(received, f"{message}/Attribute")}
    assert attributes["ApproximateReceiveCount"] == "1"
    values = {text(one, "Name"): one for one in every(received, f"{message}/MessageAttribute")}
    assert text(values["kind"], "Value/StringValue") == "green"
    assert base64.b64decode(text(values["leaf"], "Value/BinaryValue")) == b"\x00\x01"
    handle = text(received, f"{message}/ReceiptHandle")
    changed = ask(http, "ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout="100")
    assert [child.tag for child in changed] == [f"{NAMESPACE}ResponseMetadata"]
    ask(http, "DeleteMessage", QueueUrl=url, ReceiptHandle=handle)


def test_forms_are_answered_in_json_for_who_accepts_that(http: httpx.Client, url: str) -> None:
    """What API Gateway is answered when it sends to a queue, and curl with a header."""
    path, json = httpx.URL(url).path, {"Accept": "application/json"}

    def told(action: str, **fields: str) -> Any:
        answer = http.get(path, params={"Action": action} | fields, headers=json)
        assert answer.headers["content-type"] == "application/json"
        return answer.json()

    nothing = told("ReceiveMessage")["ReceiveMessageResponse"]
    assert nothing["ReceiveMessageResult"] == {"messages": None}
    assert nothing["ResponseMetadata"].keys() == {"RequestId"}
    sent = told("SendMessage", MessageBody='{"a": "b"}')["SendMessageResponse"]["SendMessageResult"]
    assert sent["SequenceNumber"] is sent["MD5OfMessageAttributes"] is sent["MD5OfMessageSystemAttributes"] is None
    asked = {"AttributeName.1": "ApproximateReceiveCount", "VisibilityTimeout": "0"}
    [message] = told("ReceiveMessage", **asked)["ReceiveMessageResponse"]["ReceiveMessageResult"]["messages"]
    assert (message["Body"], message["MessageId"]) == ('{"a": "b"}', sent["MessageId"])
    assert message["Attributes"] == [{"Name": "ApproximateReceiveCount", "Value": "1"}]
    deleted = told("DeleteMessage", ReceiptHandle=message["ReceiptHandle"])
    assert deleted["DeleteMessageResponse"].keys() == {"ResponseMetadata"}
    listed = http.get("/", params={"Action": "ListQueues"}, headers=json).json()
    assert listed["ListQueuesResponse"]["ListQueuesResult"] == {"queueUrls": [url], "NextToken": None}
    refused = told("DeleteMessage", ReceiptHandle="none")
    assert (refused["Error"]["Code"], refused["Error"]["Type"]) == ("ReceiptHandleIsInvalid", "Sender")


def test_batches_and_maps_in_forms(http: httpx.Client, url: str) -> None:
    entries = {
        f"SendMessageBatchRequestEntry.{number}.{name}": value
        for number, one in enumerate(("a", "b", "\x01"), 1)
        for name, value in (("Id", f"id{number}"), ("MessageBody", one))
    }
    sent = ask(http, "SendMessageBatch", QueueUrl=url, **entries)
    result = "SendMessageBatchResult"
    assert [text(one, "Id") for one in every(sent, f"{result}/SendMessageBatchResultEntry")] == ["id1", "id2"]
    [failed] = every(sent, f"{result}/BatchResultErrorEntry")
    assert (text(failed, "Code"), text(failed, "SenderFault")) == ("InvalidMessageContents", "true")
    ask(http, "TagQueue", QueueUrl=url, **{"Tag.1.Key": "a", "Tag.1.Value": "1", "Tag.2.Key": "b", "Tag.2.Value": ""})
    ask(http, "UntagQueue", QueueUrl=url, **{"TagKey.1": "b"})
    tags = every(ask(http, "ListQueueTags", QueueUrl=url), "ListQueueTagsResult/Tag")
    assert [(text(tag, "Key"), text(tag, "Value")) for tag in tags] == [("a", "1")]
    listed = ask(http, "ListQueues", QueueNamePrefix="for")
    assert [one.text for one in every(listed, "ListQueuesResult/QueueUrl")] == [url]
    counted = ask(http, "GetQueueAttributes", QueueUrl=url, **{"AttributeName.1": "ApproximateNumberOfMessages"})
    assert text(counted, "GetQueueAttributesResult/Attribute/Value") == "2"


def test_the_address_of_a_queue_takes_what_is_about_it(http: httpx.Client, url: str) -> None:
    path = httpx.URL(url).path
    ask(http, "SendMessage", path, MessageBody="to the address")
    got = http.get(path, params={"Action": "ReceiveMessage", "WaitTimeSeconds": "5"})
    assert "<Body>to the address</Body>" in got.text
    got = http.get(path, params={"Action": "GetQueueAttributes", "AttributeName.1": "All"})
    assert "<Attribute><Name>VisibilityTimeout</Name><Value>30</Value></Attribute>" in got.text
    for action, code in (("CreateQueue", "InvalidAction"), ("ListQueues", "InvalidAction"), ("Brew", "InvalidAction")):
        refused = ask(http, action, path, status="400")
        assert text(refused, "Error/Code") == code
        assert text(refused, "Error/Message") == f"The action {action} is not valid for this endpoint."
    looked_at = http.get(path)
    assert (looked_at.status_code, looked_at.text.strip()) == (404, "<UnknownOperationException/>")
    assert "<ReceiveMessageResult/>" in http.get(path, params={"Action": "ReceiveMessage"}).text
    body = {"MessageBody": "by JSON"}
    headers = {"X-Amz-Target": "AmazonSQS.SendMessage", "Content-Type": "application/x-amz-json-1.0"}
    assert http.post(path, json=body | {"QueueUrl": url}, headers=headers).status_code == 200


def test_errors_have_the_old_names(http: httpx.Client, url: str, endpoint: str) -> None:
    missing = {"QueueUrl": url + "x"}
    for action, fields, code, message in (
        (
            "GetQueueAttributes",
            missing,
            "AWS.SimpleQueueService.NonExistentQueue",
            "The specified queue does not exist for this wsdl version.",
        ),
        ("SendMessage", {"QueueUrl": url}, "MissingParameter", "The request must contain the parameter MessageBody."),
        ("SendMessage", {"MessageBody": "x"}, "MissingParameter", "The request must contain the parameter QueueUrl."),
        (
            "GetQueueAttributes",
            {"QueueUrl": url, "AttributeName.1": "Foobar"},
            "InvalidAttributeName",
            "Unknown Attribute Foobar.",
        ),
    ):
        refused = ask(http, action, status="400", **fields)
        assert (text(refused, "Error/Type"), text(refused, "Error/Code")) == ("Sender", code)
        assert text(refused, "Error/Message") == message
    for fields in (
        {"VisibilityTimeout": "soon"},
        {"AttributeName": "All", "AttributeName.x": "y"},
        {"A.B": "", "A.B.C": ""},
    ):
        refused = ask(http, "ReceiveMessage", status="400", **({"QueueUrl": url} | fields))
        assert text(refused, "Error/Type") == "Sender"
    unsigned = httpx.post(f"{url}", data={"Action": "GetQueueAttributes"})
    assert (unsigned.status_code, "MissingAuthenticationToken" in unsigned.text) == (403, True)


def test_json_on_the_wire(http: httpx.Client, url: str) -> None:
    def post(operation: str, content: Any, **headers: str) -> httpx.Response:
        given = {"X-Amz-Target": f"AmazonSQS.{operation}", "Content-Type": "application/x-amz-json-1.0"} | headers
        return (
            http.post("/", content=content, headers=given)
            if isinstance(content, bytes)
            else http.post("/", json=content, headers=given)
        )

    answer = post("GetQueueUrl", {"QueueName": "nothing"})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/x-amz-json-1.0"
    assert answer.headers["x-amzn-query-error"] == "AWS.SimpleQueueService.NonExistentQueue;Sender"
    assert answer.json() == {
        "__type": "com.amazonaws.sqs#QueueDoesNotExist",
        "message": "The specified queue does not exist.",
    }
    answer = post("ReceiveMessage", {"QueueUrl": url, "WaitTimeSeconds": 99})
    assert answer.headers["x-amzn-query-error"] == "InvalidParameterValue;Sender"
    assert answer.json()["__type"] == "com.amazon.coral.service#InvalidParameterValueException"
    assert post("TagQueue", {"QueueUrl": url, "Tags": {"a": "b"}}).content == b""
    assert post("ReceiveMessage", {"QueueUrl": url, "WaitTimeSeconds": None}).json() == {}
    for content in (b"{", b"[]", b'{"QueueUrl": 7}', b"\xff", b'{"QueueUrl": "\\ud800"}', b"[" * 100_000):
        answer = post("ReceiveMessage", content)
        assert answer.status_code == 400, content[:20]
        assert answer.json()["__type"] == "com.amazon.coral.service#SerializationException"
    assert post("Brew", {}).json()["__type"] == "com.amazon.coral.service#UnknownOperationException"
    unsigned = httpx.post(httpx.URL(url).join("/"), json={}, headers={"X-Amz-Target": "AmazonSQS.ListQueues"})
    assert unsigned.status_code == 403
    assert unsigned.headers["x-amzn-query-error"] == "MissingAuthenticationToken;Sender"


def test_who_hangs_up_takes_no_message_along(http: httpx.Client, url: str) -> None:
    with pytest.raises(httpx.ReadTimeout):
        http.get(httpx.URL(url).path, params={"Action": "ReceiveMessage", "WaitTimeSeconds": "20"}, timeout=0.5)
    ask(http, "SendMessage", QueueUrl=url, MessageBody="for somebody who is there")
    received = ask(http, "ReceiveMessage", QueueUrl=url, WaitTimeSeconds="5")
    assert text(received, "ReceiveMessageResult/Message/Body") == "for somebody who is there"
