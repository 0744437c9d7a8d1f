"""`AWS::Serverless::Function`, with all that SAM makes of it. No I/O but a look at its code folder."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

from samovar.sam import expand_events
from samovar.sam.code import Code
from samovar.sam.document import Node
from samovar.sam.drivers.functions import FunctionWanted
from samovar.sam.drivers.qualified import QualifiedWanted
from samovar.sam.expand_apis import Apis
from samovar.sam.expand_events import Called
from samovar.sam.expand_lambdas import FUNCTION_NAME, architectures, configured, event_invoke, provisioned
from samovar.sam.expand_stores import queue
from samovar.sam.expanding import Expanded, Expanding
from samovar.sam.item import Item
from samovar.sam.properties.function import FUNCTION_IGNORED, FunctionProperties
from samovar.sam.reading import convert
from samovar.sam.target import Target
from samovar.sam.template import Resource

_ALL_AT_ONCE = (None, "AllAtOnce")


class Functions(Expanding):
    """Takes functions apart."""

    def __init__(self, target: Target, apis: Apis) -> None:
        super().__init__(target)
        self._apis = apis

    def function(self, resource: Resource, node: Node) -> Expanded:
        """See `Expand`."""
        target, properties = self.target, convert(node, FunctionProperties, self.target.path)
        name = self.name(properties.function_name, resource, FUNCTION_NAME)
        called = Called(resource.name, name, properties.auto_publish_alias, target)
        events = node.members().get("Events", Node(node.line, {})).members()
        role = properties.role or f"arn:aws:iam::{target.account}:role/{target.stack}-{resource.name}Role"
        code = self._code(resource, node, properties)
        wanted = FunctionWanted(
            configuration={"FunctionName": name, "Role": role, **self._configuration(properties)},
            at_creation={"PackageType": properties.package_type, **architectures(properties, code)},
            code=code,
            tags=properties.tags,
            reserved=properties.reserved_concurrent_executions,
            recursive_loop=properties.recursive_loop or "Terminate",
            routes=expand_events.routes(events, called, self._apis),
        )
        items = [Item(name=resource.name, kind="AWS::Lambda::Function", line=resource.line, wanted=wanted)]
        items += self._of_function(resource, properties, called)
        items += expand_events.items(events, called)
        known = self._known(resource, called, role, [item.kind for item in items])
        return Expanded(items=items, known=known, notes=self._notes(resource, node, properties))

    def _known(self, resource: Resource, called: Called, role: str, kinds: list[str]) -> dict[str, dict[str, str]]:
        arn = self.target.arn("lambda", f"function:{called.name}")
        known = {
            resource.name: {"": called.name, "Arn": arn},
            f"{resource.name}Role": {"": role.rpartition("/")[2], "Arn": role},
        }
        if called.alias:
            alias = f"{arn}:{called.alias}"
            known[f"{resource.name}Alias{called.alias}"] = {"": alias}
            known[resource.name] |= {"Alias": alias, "Version": arn}
        if "AWS::Lambda::Url" in kinds:
            known[f"{resource.name}Url"] = {"": arn, "FunctionUrl": "http://", "FunctionArn": arn}
        return known

    def _notes(self, resource: Resource, node: Node, properties: FunctionProperties) -> list[str]:
        notes = self.ignored(node, FUNCTION_IGNORED, resource.name)
        rollout = properties.deployment_preference
        if rollout is not None and rollout.enabled and rollout.type not in _ALL_AT_ONCE:
            line = node.members()["DeploymentPreference"].line
            said = f"DeploymentPreference {rollout.type} of {resource.name}: the alias moves all at once here"
            notes.append(self.note(line, said))
        return notes

    def _of_function(self, resource: Resource, properties: FunctionProperties, called: Called) -> Iterator[Item]:
        """What belongs to a function beside its events."""
        if called.alias:
            described = {"VersionDescription": properties.version_description} if properties.version_description else {}
            named = QualifiedWanted(function=called.name, alias=called.alias, members=described)
            logical = f"{resource.name}Alias{called.alias}"
            yield Item(name=logical, kind="AWS::Lambda::Alias", line=resource.line, wanted=named)
        if properties.provisioned_concurrency_config is not None:
            if not called.alias:
                raise self.error(resource.line, f"{resource.name}: ProvisionedConcurrencyConfig needs AutoPublishAlias")
            yield provisioned(properties.provisioned_concurrency_config, resource, called.name, called.alias)
        if properties.event_invoke_config is not None:
            own = yield from self._own_queues(resource, properties)
            members = event_invoke(properties.event_invoke_config, own)
            wanted = QualifiedWanted(function=called.name, alias=called.alias, members=members)
            logical = f"{resource.name}EventInvokeConfig"
            yield Item(name=logical, kind="AWS::Lambda::EventInvokeConfig", line=resource.line, wanted=wanted)
        if properties.function_url_config is not None:
            yield expand_events.url(properties.function_url_config, called, resource.line)

    def _own_queues(self, resource: Resource, properties: FunctionProperties) -> Generator[Item, None, dict[str, str]]:
        """The queues SAM makes for destinations that have a type only; answers with their ARNs."""
        own: dict[str, str] = {}
        config = properties.event_invoke_config
        there = config.destination_config if config is not None else None
        ends = {"OnSuccess": there.on_success, "OnFailure": there.on_failure} if there is not None else {}
        for end, wanted in ends.items():
            if wanted is None or wanted.destination:
                continue
            if wanted.type != "SQS":
                raise self.error(resource.line, f"{resource.name}: the destination {end} needs a Destination")
            logical = f"{resource.name}EventInvokeConfig{end}Queue"
            item, known = queue(self.target, logical, resource.line, f"{self.target.stack}-{logical}"[:80], {}, {})
            own[end] = known["Arn"]
            yield item
        return own

    def _configuration(self, properties: FunctionProperties) -> dict[str, Any]:
        wanted = configured(properties, is_image=properties.package_type == "Image")
        if properties.tracing is not None:
            wanted["TracingConfig"] = {"Mode": "Active" if properties.tracing == "Active" else "PassThrough"}
        letters = properties.dead_letter_queue
        wanted["DeadLetterConfig"] = {"TargetArn": letters.target_arn} if letters is not None else {"TargetArn": ""}
        return wanted

    def _code(self, resource: Resource, node: Node, properties: FunctionProperties) -> Code:
        if properties.package_type == "Image":
            if not properties.image_uri:
                raise self.error(resource.line, f"{resource.name}: PackageType Image needs ImageUri")
            return Code(image=properties.image_uri)
        for member, value in (("Handler", properties.handler), ("Runtime", properties.runtime)):
            if not value:
                raise self.error(resource.line, f"{resource.name} has no {member}")
        if (properties.code_uri is None) == (properties.inline_code is None):
            raise self.error(resource.line, f"{resource.name} needs either CodeUri or InlineCode")
        if properties.inline_code is not None:
            return Code(inline=properties.inline_code)
        assert properties.code_uri is not None
        return self.uri(properties.code_uri, node.members()["CodeUri"].line)
