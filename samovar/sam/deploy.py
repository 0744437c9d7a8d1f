"""A template to what runs: everything is checked before anything is changed, then made in the order of its needs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from samovar.clients import stacks as stack_client
from samovar.errors import InvalidParameterValue, ResourceNotFound, SamovarError
from samovar.sam.cdk import without_toolkit
from samovar.sam.document import TemplateError, read
from samovar.sam.drivers.catalog import DRIVERS
from samovar.sam.expand import Expander
from samovar.sam.item import Item
from samovar.sam.limits import check_limits, notes_on_runtimes
from samovar.sam.parameters import overrides
from samovar.sam.target import Target
from samovar.sam.template import Resource, Template
from samovar.stack import Stack, StackResource

STACK_NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{0,127}")
_SERVICES: Final[dict[str, tuple[str, str, dict[str, Any]]]] = {
    "AWS::SQS::Queue": ("sqs", "list_queues", {"MaxResults": 1}),
    "AWS::S3::Bucket": ("s3", "list_buckets", {}),
    "Samovar::Notice": ("s3", "list_buckets", {}),
    "AWS::Scheduler::Schedule": ("scheduler", "list_schedules", {"MaxResults": 1}),
}
"""Kinds whose service is asked something harmless first, so that nothing is left half made where it is missing."""


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """A stack, as it is after a deploy."""

    stack: str
    changed: dict[str, list[str]]
    """Logical id → what was made or changed; what was so already is not here."""
    unchanged: list[str]
    orphaned: list[StackResource]
    """Made by an earlier deploy and no longer in the template; still there."""
    removed: list[StackResource]
    """Those that `prune` removed."""
    retained: list[StackResource]
    """Those that `prune` left where they are, because they are to be retained; they belong to no stack any more."""
    outputs: dict[str, str]
    api: str | None
    """Where the routes of the stack answer; `None` when it has none."""
    functions: dict[str, str]
    """Logical id → name."""
    notes: list[str]
    """What of the template decides nothing here, with its lines."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A template that can be deployed, as far as that is known beforehand."""

    stack: str
    resources: list[str]
    """Logical ids, in the order in which they would be made."""
    notes: list[str]
    """As those of `Deployed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody wants deployed."""

    template: Path
    name: str | None
    """Of the stack; `None` takes the name of the template's folder."""
    overrides: Sequence[str]
    """As `--parameter-overrides` takes them."""
    prune: bool


def deploy(target: Target, wanted: Wanted) -> Deployed:
    """Deploy a template. Raises `TemplateError` before anything is changed, and what the platform answers."""
    return _deployment(target, wanted).run(prune=wanted.prune)


def check(target: Target, wanted: Wanted) -> Checked:
    """Check a template as `deploy` does, and change nothing. Raises `TemplateError`."""
    return _deployment(target, wanted).checked()


def _deployment(target: Target, wanted: Wanted) -> Deployment:
    folder = wanted.template.resolve().parent
    given = overrides(wanted.overrides)
    aimed = replace(target, stack=_stack_name(wanted.name, folder), path=str(wanted.template), folder=folder)
    return Deployment(aimed, given)


def remove(target: Target, name: str) -> Stack:
    """Remove everything that belongs to a stack but what it retains, last made first. Raises `ResourceNotFound`.

    What is gone is no longer on the platform's list, also when something else cannot be removed.
    """
    aimed, stack = replace(target, stack=name, path=name), stack_client.get_stack(target.client, name)
    left = list(stack.resources)
    try:
        for one in reversed(stack.resources):
            if not one.retain:
                with aimed.at(None, one.logical_id):
                    DRIVERS[one.type].remove(aimed, one.physical_id)
            left.remove(one)
    except BaseException:
        stack_client.put_stack(target.client, msgspec.structs.replace(stack, resources=tuple(left)))
        raise
    stack_client.forget_stack(target.client, name)
    return stack


def _stack_name(chosen: str | None, folder: Path) -> str:
    name = chosen if chosen is not None else re.sub(r"[^a-zA-Z0-9]+", "-", folder.name).strip("-")
    if STACK_NAME.fullmatch(name) is None:
        raise InvalidParameterValue(
            f"{name!r} is no name of a stack: a letter, then letters, digits and -; --stack-name"
        )
    return name


@dataclass(slots=True)
class _Progress:
    """How far the making of a stack is."""

    made: dict[str, StackResource] = field(default_factory=dict)
    changed: dict[str, list[str]] = field(default_factory=dict)
    wanted: list[str] = field(default_factory=list)
    """Resources that are not yet there as wanted."""
    at: str = ""

    def told(self) -> str:
        """What a person needs to know who sees it fail."""
        there = f"there: {', '.join(self.made)}" if self.made else "nothing was made"
        return f"{there}; not as wanted yet: {', '.join(self.wanted)}. Nothing is taken back: deploy again to go on"


def _is_same(made: Mapping[str, StackResource], one: StackResource) -> bool:
    there = made[one.logical_id]
    return (there.type, there.physical_id) == (one.type, one.physical_id)


class Deployment:
    """One deploy of one template."""

    def __init__(self, target: Target, given: Mapping[str, str]) -> None:
        """`given`: overridden parameters. Raises `TemplateError`."""
        self._target = target
        self._template = Template(without_toolkit(read(Path(target.path))), target.path, given, _pseudo(target))
        self._known: dict[str, dict[str, str]] = {}
        self._template.resolver.resources = self._known
        self._expander = Expander(target, self._template.shared())
        implicit = self._expander.implicit()
        self._known |= implicit.known
        self._implicit = tuple(implicit.known)
        self._notes = dict.fromkeys(implicit.notes)
        self._has_routes = False

    def checked(self) -> Checked:
        """Check everything and change nothing."""
        names = [resource.name for resource in self.check()]
        return Checked(stack=self._target.stack, resources=names, notes=list(self._notes))

    def check(self) -> list[Resource]:
        """Check everything. Answers with the resources in the order of their needs; raises `TemplateError`."""
        ordered = self._ordered()
        predicted, problems = [], []
        for resource in ordered:
            try:
                predicted += self._expand(resource)
            except TemplateError as error:
                problems.append(error.message)
                self._template.resolver.refused.add(resource.name)
        if problems:
            raise TemplateError("\n".join(dict.fromkeys(problems)))
        self._check(predicted)
        check_limits(self._target, predicted)
        self._notes |= dict.fromkeys(notes_on_runtimes(self._target, predicted))
        return ordered

    def run(self, *, prune: bool) -> Deployed:
        """Check everything, make everything, say what is left over and remove it if that is wanted."""
        ordered = self.check()
        before = self._before()
        progress = _Progress()
        try:
            self._make_all(ordered, progress)
        except BaseException as error:
            self._remember(before, list(before.resources), progress.made, before.outputs)
            if isinstance(error, SamovarError):
                raise type(error)(f"{error.message}\n{progress.told()}", retry_after=error.retry_after) from error
            raise
        made, changed = progress.made, progress.changed
        orphaned = [one for one in before.resources if one.logical_id not in made or not _is_same(made, one)]
        if prune:  # what was made is on the list, whatever comes of the pruning
            self._remember(before, orphaned, made, before.outputs)
        removed = self._prune(orphaned, made) if prune else []
        outputs = {name: self._told(value) for name, value in self._template.outputs().items()}
        kept = [one for one in orphaned if one not in removed]
        for one in kept:
            self._close_routes(one)
        self._remember(before, kept, made, outputs)
        return Deployed(
            stack=self._target.stack,
            changed={name: what for name, what in changed.items() if what},
            unchanged=[name for name, what in changed.items() if not what],
            orphaned=kept,
            removed=[one for one in removed if not one.retain],
            retained=[one for one in removed if one.retain],
            outputs=outputs,
            api=self._api if self._has_routes else None,
            functions={one.logical_id: one.physical_id for one in made.values() if one.type == "AWS::Lambda::Function"},
            notes=list(self._notes),
        )

    def _make_all(self, ordered: list[Resource], progress: _Progress) -> None:
        """Make each thing after those it needs."""
        progress.wanted = [resource.name for resource in ordered]
        for resource in ordered:
            progress.at = resource.name
            for item in self._expand(resource):
                progress.changed[item.name] = self._make(item, progress.made)
            progress.wanted.remove(resource.name)

    @property
    def _api(self) -> str:
        return f"{self._target.client.endpoint}/api/{self._target.stack}/"

    def _before(self) -> Stack:
        """What belongs to the stack; nothing when it was never deployed."""
        try:
            return stack_client.get_stack(self._target.client, self._target.stack)
        except ResourceNotFound:
            return Stack(name=self._target.stack)

    def _ordered(self) -> list[Resource]:
        generated = dict.fromkeys(self._implicit, "")
        for resource in self._template.resources.values():
            generated |= dict.fromkeys(self._expander.generated(resource), resource.name)
        return self._template.ordered(generated)

    def _expand(self, resource: Resource) -> list[Item]:
        properties = self._template.resolver.resolve(resource.properties)
        expanded = self._expander.expand(resource, properties)
        for name, attributes in expanded.known.items():
            self._known[name] = attributes | self._known.get(name, {})
        for item in expanded.items:
            self._known.setdefault(item.name, {"": item.name})
        self._notes |= dict.fromkeys(expanded.notes)
        return [replace(item, retain=resource.retain) for item in expanded.items]

    def _check(self, items: list[Item]) -> None:
        """What can be known before anything is changed: names given twice, outputs, and missing services."""
        self._template.outputs()
        names: dict[str, Item] = {}
        routes: dict[tuple[str, str], Item] = {}
        asked: set[str] = set()
        for item in items:
            if item.name in names:
                raise TemplateError(f"{self._target.path}:{item.line}: {item.name} is made twice")
            names[item.name] = item
            for route in getattr(item.wanted, "routes", ()):
                other = routes.setdefault((route.method, route.path), item)
                if other is not item:
                    raise TemplateError(
                        f"{self._target.path}:{item.line}: {route.method} {route.path} of {item.name} "
                        f"leads to {other.name} already"
                    )
            service, operation, request = _SERVICES.get(item.kind, ("", "", {}))
            if service and service not in asked:
                asked.add(service)
                with self._target.at(item.line, item.name):
                    getattr(self._target.aws(service), operation)(**request)
        self._has_routes = bool(routes)

    def _make(self, item: Item, made: dict[str, StackResource]) -> list[str]:
        with self._target.at(item.line, item.name):
            applied = DRIVERS[item.kind].apply(self._target, item)
        made[item.name] = StackResource(
            logical_id=item.name, type=item.kind, physical_id=applied.physical_id, retain=item.retain
        )
        attributes = {"": applied.physical_id} | applied.attributes
        self._known[item.name] = self._known.get(item.name, {}) | attributes
        return applied.changed

    def _prune(self, orphaned: list[StackResource], made: dict[str, StackResource]) -> list[StackResource]:
        """Remove what is left over, last made first. A new thing that took the place of an old one stays."""
        there = {(one.type, one.physical_id) for one in made.values()}
        for one in reversed(orphaned):
            if (one.type, one.physical_id) not in there and one.type in DRIVERS and not one.retain:
                with self._target.at(None, one.logical_id):
                    DRIVERS[one.type].remove(self._target, one.physical_id)
        return list(orphaned)

    def _close_routes(self, one: StackResource) -> None:
        """A function that is left over has no part in the stack's API any more; its own addresses stay."""
        client = self._target.client
        with suppress(ResourceNotFound):
            if one.type == "AWS::Lambda::Function" and stack_client.get_routes(client, one.physical_id):
                stack_client.put_routes(client, one.physical_id, ())

    def _remember(
        self, before: Stack, left: list[StackResource], made: dict[str, StackResource], outputs: dict[str, str]
    ) -> None:
        """Have the platform keep what belongs to the stack, also when a deploy ended half-way."""
        there = {(one.type, one.physical_id) for one in made.values()}
        kept = [one for one in left if (one.type, one.physical_id) not in there]
        after = msgspec.structs.replace(before, resources=(*kept, *made.values()), outputs=outputs)
        if after != before:
            stack_client.put_stack(self._target.client, after)

    def _told(self, output: str) -> str:
        """An output with the addresses of API Gateway as they are here, where no stage stands in the path."""
        domain = r"https://[A-Za-z0-9-]+\.execute-api\.[a-z0-9-]+\.amazonaws\.com(?:/\$?\w+)?/?"
        return re.sub(domain, self._api, output) if self._has_routes else output


def _pseudo(target: Target) -> dict[str, str]:
    return {
        "AWS::AccountId": target.account,
        "AWS::Partition": "aws",
        "AWS::Region": target.region,
        "AWS::StackId": target.arn("cloudformation", f"stack/{target.stack}/0"),
        "AWS::StackName": target.stack,
        "AWS::URLSuffix": "amazonaws.com",
    }
