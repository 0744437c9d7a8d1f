"""Errors as the Lambda API shows them."""

from __future__ import annotations

import json

import pytest

from gateway.http.rendering import render_error
from samovar.errors import (
    EnvironmentFailure,
    ResourceNotFound,
    SamovarError,
    ServiceUnavailable,
    TooManyRequests,
)


@pytest.mark.parametrize(
    ("error", "status", "name", "fault"),
    [
        (ResourceNotFound("gone"), 404, b"ResourceNotFoundException", "User"),
        (TooManyRequests("busy"), 429, b"TooManyRequestsException", "User"),
        (EnvironmentFailure("dead"), 502, b"ServiceException", "Service"),
        (ServiceUnavailable("away"), 503, b"ServiceUnavailableException", "Service"),
    ],
)
def test_status_name_and_fault(error: SamovarError, status: int, name: bytes, fault: str) -> None:
    response = render_error(error, "id-1")
    assert response.status == status
    assert response.headers == [
        (b"content-type", b"application/json"),
        (b"x-amzn-requestid", b"id-1"),
        (b"x-amzn-errortype", name),
    ]
    assert json.loads(response.body) == {"Type": fault, "Message": error.message, "message": error.message}


@pytest.mark.parametrize(("seconds", "header"), [(0.0, b"1"), (0.2, b"1"), (1.0, b"1"), (1.1, b"2"), (30, b"30")])
def test_retry_after_is_whole_seconds_and_never_zero(seconds: float, header: bytes) -> None:
    response = render_error(ServiceUnavailable("away", retry_after=seconds), "id-1")
    assert (b"retry-after", header) in response.headers


def test_a_reason_is_told() -> None:
    body = render_error(TooManyRequests("Rate Exceeded.", reason="CallerRateLimitExceeded"), "id-1").body
    assert json.loads(body)["Reason"] == "CallerRateLimitExceeded"
