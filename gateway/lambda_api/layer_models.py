"""Requests and answers of the layer operations, member by member as AWS names them (API reference, data types)."""

from __future__ import annotations

import msgspec


class LayerSource(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`LayerVersionContentInput`: where the layer's package comes from."""

    zip_file: bytes | None = None
    s3_bucket: str | None = None
    s3_key: str | None = None
    s3_object_version: str | None = None


class PublishLayerVersionRequest(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`PublishLayerVersion`."""

    layer_name: str
    content: LayerSource
    description: str | None = None
    compatible_runtimes: tuple[str, ...] | None = None
    compatible_architectures: tuple[str, ...] | None = None
    license_info: str | None = None


class LayerContent(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`LayerVersionContentOutput`."""

    location: str
    code_sha256: str
    code_size: int


class LayerVersionSummary(msgspec.Struct, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """`LayerVersionsListItem`."""

    layer_version_arn: str
    version: int
    description: str
    created_date: str
    compatible_runtimes: tuple[str, ...] | None = None
    license_info: str | None = None
    compatible_architectures: tuple[str, ...] | None = None


class LayerVersionAnswer(LayerVersionSummary, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """`PublishLayerVersion` and `GetLayerVersion`."""

    content: LayerContent
    layer_arn: str


class LayerVersions(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """`ListLayerVersions`."""

    layer_versions: list[LayerVersionSummary]
    next_marker: str | None = None


class LayerSummary(msgspec.Struct, frozen=True, rename="pascal"):
    """`LayersListItem`."""

    layer_name: str
    layer_arn: str
    latest_matching_version: LayerVersionSummary


class ListedLayers(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """`ListLayers`."""

    layers: list[LayerSummary]
    next_marker: str | None = None


class LayerListing(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """`ListLayers` and `ListLayerVersions`; only the latter names a layer."""

    layer_name: str = ""
    compatible_runtime: str | None = None
    compatible_architecture: str | None = None
    marker: str | None = None
    max_items: int | None = None


class LayerVersionArn(msgspec.Struct, frozen=True, rename="pascal"):
    """`GetLayerVersionByArn`."""

    arn: str


class LayerVersionName(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """What names a layer version, in every operation on one."""

    layer_name: str
    version_number: int
    revision_id: str | None = None


class AddLayerVersionPermissionRequest(LayerVersionName, frozen=True, kw_only=True, rename="pascal"):
    """`AddLayerVersionPermission`."""

    statement_id: str
    action: str
    principal: str
    organization_id: str | None = None


class RemoveLayerVersionPermissionRequest(LayerVersionName, frozen=True, kw_only=True, rename="pascal"):
    """`RemoveLayerVersionPermission`."""

    statement_id: str
