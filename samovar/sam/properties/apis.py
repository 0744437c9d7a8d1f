"""`AWS::Serverless::HttpApi` and `AWS::Serverless::Api`.

AWS SAM developer guide, pages of these names.
"""

from __future__ import annotations

from typing import Any, Final

from samovar.sam.reading import Properties

API_IGNORED: Final = {
    "AccessLogSetting": "writes nothing here: `samovar logs` has every call",
    "BinaryMediaTypes": "decides nothing here: a body that is no text comes in Base64 anyway",
    "CacheClusterEnabled": "decides nothing here: there is no cache in front of functions",
    "EndpointConfiguration": "decides nothing here: there is one address",
    "MethodSettings": "decides nothing here: bound a function by ReservedConcurrentExecutions",
    "MinimumCompressionSize": "decides nothing here",
    "TracingEnabled": "decides nothing here",
}
"""Members of an Api that are read and told; beside these, what changes nothing for anybody is not even told."""
HTTP_API_IGNORED: Final = {
    "AccessLogSettings": "writes nothing here: `samovar logs` has every call",
    "DefaultRouteSettings": "decides nothing here: bound a function by ReservedConcurrentExecutions",
    "RouteSettings": "decides nothing here: bound a function by ReservedConcurrentExecutions",
}


class HttpCors(Properties, frozen=True):
    """`CorsConfiguration` of an HTTP API."""

    allow_credentials: bool = False
    allow_headers: list[str] | None = None
    allow_methods: list[str] | None = None
    allow_origins: list[str] | None = None
    expose_headers: list[str] | None = None
    max_age: int = 0


class RestCors(Properties, frozen=True, kw_only=True):
    """`Cors` of a REST API, whose members are texts in quotes of their own, as the header is to have them."""

    allow_credentials: bool = False
    allow_headers: str | None = None
    allow_methods: str | None = None
    allow_origin: str
    max_age: str | None = None


class HttpApiProperties(Properties, frozen=True):
    """`AWS::Serverless::HttpApi`: the routes are those of the functions."""

    name: str | None = None
    description: str = ""
    stage_name: str = "$default"
    cors_configuration: bool | HttpCors | None = None
    access_log_settings: Any = None
    default_route_settings: Any = None
    fail_on_warnings: Any = None
    propagate_tags: Any = None
    route_settings: Any = None
    tags: Any = None


class ApiProperties(Properties, frozen=True):
    """`AWS::Serverless::Api`: the routes are those of the functions."""

    stage_name: str
    name: str | None = None
    description: str = ""
    cors: str | RestCors | None = None
    access_log_setting: Any = None
    always_deploy: Any = None
    binary_media_types: Any = None
    cache_cluster_enabled: Any = None
    endpoint_configuration: Any = None
    fail_on_warnings: Any = None
    method_settings: Any = None
    minimum_compression_size: Any = None
    open_api_version: Any = None
    propagate_tags: Any = None
    tags: Any = None
    tracing_enabled: Any = None
