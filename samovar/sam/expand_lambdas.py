"""Resources of Lambda itself, as CloudFormation has them, and SAM's layers. No I/O but a look at code folders."""

from __future__ import annotations

from typing import Any, Final

from samovar.sam.code import Code
from samovar.sam.document import Node
from samovar.sam.drivers.functions import FunctionWanted
from samovar.sam.drivers.layers import LayerWanted
from samovar.sam.drivers.permissions import PermissionWanted
from samovar.sam.drivers.qualified import QualifiedWanted
from samovar.sam.expanding import Expand, Expanded, Expanding
from samovar.sam.item import Item
from samovar.sam.properties.lambdas import (
    AliasProperties,
    EventInvokeProperties,
    FunctionCode,
    InBucket,
    LambdaFunctionProperties,
    LambdaLayerProperties,
    LambdaUrlProperties,
    LayerPermissionProperties,
    LayerProperties,
    MappingProperties,
    PermissionProperties,
    VersionProperties,
)
from samovar.sam.properties.shared import CodeLocation, EventInvokeMembers, ProvisionedConcurrency
from samovar.sam.reading import convert
from samovar.sam.target import given
from samovar.sam.template import Resource

FUNCTION_NAME: Final = r"[a-zA-Z0-9_-]{1,64}"
_LAYER_NAME: Final = r"[a-zA-Z0-9_-]{1,140}"
_CONFIGURATION: Final = (
    "Description", "Handler", "Runtime", "MemorySize", "Timeout", "EphemeralStorage", "Environment", "Layers",
    "ImageConfig", "LoggingConfig", "SnapStart",
)  # fmt: skip
"""What SAM and CloudFormation say of a function in the same words."""


class Lambdas(Expanding):
    """`AWS::Lambda::…`."""

    def kinds(self) -> dict[str, Expand]:
        """What each type is taken apart by."""
        return {
            "AWS::Lambda::Alias": self._alias,
            "AWS::Lambda::EventInvokeConfig": self._event_invoke,
            "AWS::Lambda::EventSourceMapping": self._mapping,
            "AWS::Lambda::Function": self._function,
            "AWS::Lambda::LayerVersion": self._lambda_layer,
            "AWS::Lambda::LayerVersionPermission": self._layer_permission,
            "AWS::Lambda::Permission": self._permission,
            "AWS::Lambda::Url": self._url,
            "AWS::Lambda::Version": self._version,
            "AWS::Serverless::LayerVersion": self._layer,
        }

    def _function(self, resource: Resource, node: Node) -> Expanded:
        properties = convert(node, LambdaFunctionProperties, self.target.path)
        name = self.name(properties.function_name, resource, FUNCTION_NAME)
        code = self._code(resource, node, properties)
        configuration = {
            "FunctionName": name,
            "Role": properties.role,
            **configured(properties, is_image=properties.package_type == "Image"),
            "DeadLetterConfig": given(properties, "DeadLetterConfig").get("DeadLetterConfig", {"TargetArn": ""}),
            **given(properties, "TracingConfig"),
        }
        wanted = FunctionWanted(
            configuration=configuration,
            at_creation={"PackageType": properties.package_type, **architectures(properties, code)},
            code=code,
            tags={tag.key: tag.value for tag in properties.tags},
            reserved=properties.reserved_concurrent_executions,
            recursive_loop=properties.recursive_loop or "Terminate",
            routes=(),
        )
        item = Item(name=resource.name, kind=resource.type, line=resource.line, wanted=wanted)
        known = {"": name, "Arn": self.target.arn("lambda", f"function:{name}")}
        return Expanded(items=[item], known={resource.name: known})

    def _code(self, resource: Resource, node: Node, properties: LambdaFunctionProperties) -> Code:
        line, code = node.members()["Code"].line, properties.code
        if isinstance(code, FunctionCode) and code.image_uri:
            return Code(image=code.image_uri)
        if not properties.handler or not properties.runtime:
            raise self.error(resource.line, f"{resource.name} needs Handler and Runtime")
        if isinstance(code, str):
            return self.uri(code, line)
        if code.zip_file is not None:
            return Code(inline=code.zip_file)
        if code.s3_bucket and code.s3_key:
            location = CodeLocation(bucket=code.s3_bucket, key=code.s3_key, version=code.s3_object_version)
            return Code(location=location)
        raise self.error(line, f"Code of {resource.name} has ZipFile, S3Bucket with S3Key, ImageUri, or is a folder")

    def _version(self, resource: Resource, node: Node) -> Expanded:
        properties = convert(node, VersionProperties, self.target.path)
        function, _ = self._named(properties.function_name)
        members = given(properties, "Description", "CodeSha256") if properties.description else {}
        wanted = QualifiedWanted(function=function, alias=None, members=members)
        items = [Item(name=resource.name, kind=resource.type, line=resource.line, wanted=wanted)]
        if properties.provisioned_concurrency_config is not None:
            raise self.error(
                resource.line,
                f"{resource.name}: a version has a new number after each change; give ProvisionedConcurrencyConfig "
                "to an alias of it",
            )
        arn = self.target.arn("lambda", f"function:{function}:1")
        return Expanded(items=items, known={resource.name: {"": arn, "Version": "1", "FunctionArn": arn}})

    def _alias(self, resource: Resource, node: Node) -> Expanded:
        properties = convert(node, AliasProperties, self.target.path)
        function, _ = self._named(properties.function_name)
        routing = properties.routing_config
        weights = (
            {one.function_version: one.function_weight for one in routing.additional_version_weights} if routing else {}
        )
        members = {
            "FunctionVersion": properties.function_version,
            "Description": properties.description,
            "RoutingConfig": {"AdditionalVersionWeights": weights},
        }
        wanted = QualifiedWanted(function=function, alias=properties.name, members=members)
        items = [Item(name=resource.name, kind=resource.type, line=resource.line, wanted=wanted)]
        if properties.provisioned_concurrency_config is not None:
            items.append(provisioned(properties.provisioned_concurrency_config, resource, function, properties.name))
        arn = self.target.arn("lambda", f"function:{function}:{properties.name}")
        return Expanded(items=items, known={resource.name: {"": arn, "AliasArn": arn}})

    def _url(self, resource: Resource, node: Node) -> Expanded:
        properties = convert(node, LambdaUrlProperties, self.target.path)
        function, qualifier = self._named(properties.target_function_arn)
        members = given(properties, "AuthType", "Cors", "InvokeMode")
        wanted = QualifiedWanted(function=function, alias=properties.qualifier or qualifier, members=members)
        item = Item(name=resource.name, kind=resource.type, line=resource.line, wanted=wanted)
        arn = self.target.arn("lambda", f"function:{wanted.physical_id}")
        return Expanded(items=[item], known={resource.name: {"": arn, "FunctionArn": arn, "FunctionUrl": "http://"}})

    def _event_invoke(self, resource: Resource, node: Node) -> Expanded:
        properties = convert(node, EventInvokeProperties, self.target.path)
        function, _ = self._named(properties.function_name)
        alias = None if properties.qualifier == "$LATEST" else properties.qualifier
        members = event_invoke(properties, {})
        wanted = QualifiedWanted(function=function, alias=alias, members=members)
        item = Item(name=resource.name, kind=resource.type, line=resource.line, wanted=wanted)
        return Expanded(items=[item], known={resource.name: {"": resource.name}})

    def _permission(self, resource: Resource, node: Node) -> Expanded:
        properties = convert(node, PermissionProperties, self.target.path)
        function, qualifier = self._named(properties.function_name)
        members = given(
            properties, "Action", "Principal", "EventSourceToken", "FunctionUrlAuthType", "InvokedViaFunctionUrl",
            "PrincipalOrgID", "SourceAccount", "SourceArn",
        )  # fmt: skip
        wanted = PermissionWanted(
            function=function, qualifier=qualifier, label=f"{self.target.stack}-{resource.name}", members=members
        )
        item = Item(name=resource.name, kind=resource.type, line=resource.line, wanted=wanted)
        return Expanded(items=[item], known={resource.name: {"": resource.name}})

    def _mapping(self, resource: Resource, node: Node) -> Expanded:
        properties = convert(node, MappingProperties, self.target.path)
        wanted = given(
            properties, "FunctionName", "EventSourceArn", "Enabled", "BatchSize", "BisectBatchOnFunctionError",
            "MaximumBatchingWindowInSeconds", "MaximumRecordAgeInSeconds", "MaximumRetryAttempts", "FilterCriteria",
            "FunctionResponseTypes", "ScalingConfig", "StartingPosition", "StartingPositionTimestamp",
        )  # fmt: skip
        item = Item(name=resource.name, kind=resource.type, line=resource.line, wanted=wanted)
        return Expanded(items=[item], known={resource.name: {"": resource.name, "Id": resource.name}})

    def _layer(self, resource: Resource, node: Node) -> Expanded:
        properties = convert(node, LayerProperties, self.target.path)
        code = self.uri(properties.content_uri, node.members()["ContentUri"].line)
        return self._published(resource, properties, code)

    def _lambda_layer(self, resource: Resource, node: Node) -> Expanded:
        properties = convert(node, LambdaLayerProperties, self.target.path)
        content = properties.content
        if isinstance(content, InBucket):
            located = CodeLocation(bucket=content.s3_bucket, key=content.s3_key, version=content.s3_object_version)
            return self._published(resource, properties, Code(location=located))
        return self._published(resource, properties, self.uri(content, node.members()["Content"].line))

    def _published(
        self, resource: Resource, properties: LayerProperties | LambdaLayerProperties, code: Code
    ) -> Expanded:
        name = self.name(properties.layer_name, resource, _LAYER_NAME)
        members = given(properties, "Description", "CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo")
        wanted = LayerWanted(name=name, code=code, members={key: value for key, value in members.items() if value})
        item = Item(name=resource.name, kind="AWS::Lambda::LayerVersion", line=resource.line, wanted=wanted)
        arn = self.target.arn("lambda", f"layer:{name}:1")
        return Expanded(items=[item], known={resource.name: {"": arn, "LayerVersionArn": arn}})

    def _layer_permission(self, resource: Resource, node: Node) -> Expanded:
        convert(node, LayerPermissionProperties, self.target.path)
        note = self.note(resource.line, f"{resource.name} ({resource.type}) decides nothing here: there is one account")
        return Expanded(known={resource.name: {"": resource.name}}, notes=[note])

    def _named(self, text: str) -> tuple[str, str | None]:
        """A function's name and the qualifier given with it; `text` is a name or any of its ARNs."""
        name = text.rpartition(":function:")[2]
        name, _, qualifier = name.partition(":")
        return name, qualifier or None


def configured(properties: Any, *, is_image: bool) -> dict[str, Any]:
    """The part of a function's configuration that SAM and CloudFormation say in the same words."""
    wanted = given(properties, *_CONFIGURATION)
    if is_image:
        wanted.pop("Layers", None)
    return wanted


def architectures(properties: Any, code: Code) -> dict[str, Any]:
    """`Architectures` of CreateFunction, unless that is no matter: sources are packed for the host they run on."""
    is_source = code.inline is not None or (code.path is not None and code.path.is_dir())
    is_interpreted = str(properties.runtime or "").startswith(("python", "nodejs"))
    return {} if is_source and is_interpreted else given(properties, "Architectures")


def event_invoke(properties: EventInvokeMembers, own: dict[str, str]) -> dict[str, Any]:
    """The members of PutFunctionEventInvokeConfig. `own`: `OnSuccess` or `OnFailure` → ARN of a queue made for it."""
    members = given(properties, "MaximumEventAgeInSeconds", "MaximumRetryAttempts")
    there = properties.destination_config
    if there is None:
        return members
    ends = {"OnSuccess": there.on_success, "OnFailure": there.on_failure}
    named = {name: one.destination or own.get(name, "") for name, one in ends.items() if one is not None}
    destinations = {name: {"Destination": arn} for name, arn in named.items()}
    return {**members, **({"DestinationConfig": destinations} if destinations else {})}


def provisioned(config: ProvisionedConcurrency, resource: Resource, function: str, alias: str) -> Item:
    """What keeps environments of an alias ready."""
    wanted = QualifiedWanted(function=function, alias=alias, members=given(config, "ProvisionedConcurrentExecutions"))
    return Item(name=f"{resource.name}Provisioned", kind="Samovar::Provisioned", line=resource.line, wanted=wanted)
