"""S3's API as the gateway serves it: verified and authorised here, carried out by the S3 server behind.

What concerns notifications is answered here; everything else is passed on as it arrives and comes back as it comes,
so that an object is in memory a piece at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Final
from urllib.parse import unquote
from xml.sax.saxutils import escape

import httpcore
from msgspec import UNSET
from starlette.types import Message, Receive, Scope, Send

from gateway.access.guard import Guard
from gateway.access.operations import Asked as Authorised
from gateway.http.asgi import ClientGone, Request, send_parts, send_response
from gateway.http.rendering import Response
from gateway.services import Services
from gateway.uploads import asking, configuration
from gateway.uploads.asking import Asked
from gateway.uploads.bodies import Incoming
from gateway.uploads.destinations import Destinations
from gateway.uploads.intents import Intent, Intents, Outcome
from gateway.uploads.passing import passed_on, sent_back
from gateway.uploads.refusals import InvalidBucketName, NoSuchBucket, render
from gateway.uploads.rule_book import RuleBook
from gateway.uploads.upstream import Upstream
from samovar.errors import SamovarError, ServiceFailure

MAX_CONFIGURATION_BYTES: Final = 256 * 1024
_SERVICES: Final = ("s3", "lambda")
"""Below `/uploads` requests may be signed as all of Samovar's own are."""
_MOST_TRACE: Final = 2048
"""Characters of a request's trace header that are kept with what it does."""
_log = logging.getLogger(__name__)


class Front:
    """An ASGI application for requests to S3, and for those below `/uploads`."""

    def __init__(self, services: Services, guard: Guard) -> None:
        self._guard = guard
        self._clock = services.clock
        self._account = services.settings.account
        self._is_silent = bool(services.settings.s3_url)
        """The server tells nobody of changes."""
        self._upstream = services.objects.upstream
        self._rules = RuleBook(services.redis)
        self._intents = Intents(services.redis)
        self._destinations = Destinations(services)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        request = Request(scope, receive)
        resource = "/"
        has_begun = False

        async def sending(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            asked = await self._asked(request)
            resource = asked.resource
            await self._serve(request, receive, sending, asked)
        except ClientGone:
            return
        except SamovarError as error:
            failure = error
        except httpcore.ReadError as error:
            failure = ServiceFailure(f"the S3 server's answer broke off: {error!r}")
        except Exception:  # noqa: BLE001 - the last line of defence: logged here, answered with an id to find it by
            _log.exception("request %s failed: %s %s", request.id, scope["method"], resource)
            failure = ServiceFailure(f"An internal fault was logged under request id {request.id}.")
        else:
            return
        if has_begun:
            request.hang_up()
            return
        request.close = True  # its body may not have been read
        await send_response(send, request, render(failure, resource, request.id))

    async def _asked(self, request: Request) -> Asked:
        """What is asked for. A path below `/uploads` is S3's only if there is a bucket of that name."""
        scope = request.scope
        path, query = scope["raw_path"] or b"/", scope["query_string"]
        if asking.is_below_prefix(path):
            is_for_s3 = asking.is_signed_for_s3(request.headers, query)
            names_object = path.strip(b"/").count(b"/") >= 2
            if not is_for_s3 or (names_object and not await self._has_bucket(asking.PREFIX[1:].decode())):
                path = path[len(asking.PREFIX) :] or b"/"
        return asking.of(scope["method"], path, query, request.headers)

    async def _has_bucket(self, name: str) -> bool:
        if not self._upstream.was_ever_needed:
            return False
        async with self._upstream.asked("HEAD", f"/{name}".encode()) as answer:
            return answer.status < 300

    async def _serve(self, request: Request, receive: Receive, send: Send, asked: Asked) -> None:
        if asked.operation.name == "PostObject":
            from gateway.uploads.form import post_object  # forms are rare

            await send_response(send, request, await post_object(request, receive, asked, self._guard, self))
            return
        unread = await self._guard.admit_unread(request, Authorised(asked.operation), _SERVICES, asked.resource)
        source = request.headers.get(b"x-amz-copy-source")
        if source is not None:
            region = self._guard.region if unread is None else unread.claim.region
            path = unquote(source.decode("latin-1").partition("?")[0])
            self._guard.authorise(request, Authorised(asking.READS), region, path)
        answer = await self._answered_here(request, asked)
        incoming = Incoming(request, receive, unread)
        names_many = asked.operation.name == "DeleteObjects" and not incoming.is_framed
        if answer is None and names_many and await self.is_heard_of(asked.bucket):
            from gateway.uploads.removals import remove_many

            answer = await remove_many(request, asked, incoming, self)
        if answer is not None:
            await send_response(send, request, answer)
            return
        await incoming.begin()
        async with AsyncExitStack() as stack:
            intents = await self.begun(request, asked)
            try:
                response = await stack.enter_async_context(
                    self._upstream.asked(
                        request.scope["method"],
                        asked.target,
                        incoming.described(passed_on(request)),
                        incoming.parts(),
                        incoming.payload,
                    )
                )
            except SamovarError:
                await self.withdraw(intents)
                raise
            finally:
                incoming.check()
            await self.ended(intents, response, _size(request))
            if asked.operation.name == "DeleteBucket" and response.status < 300:
                await self._rules.forget(asked.bucket)
            await _send_on(send, request, response)

    async def _answered_here(self, request: Request, asked: Asked) -> Response | None:
        """The answer to what is Samovar's own business, or what needs no server; `None` for all the rest."""
        name = asked.operation.name
        if name == "CreateBucket" and not asking.BUCKET.fullmatch(asked.bucket):
            raise InvalidBucketName("The specified bucket is not valid.")
        if not self._upstream.was_ever_needed and name != "CreateBucket":
            if name == "ListAllMyBuckets":
                return _xml(_no_buckets(self._account))
            raise NoSuchBucket("The specified bucket does not exist")
        if name == "GetBucketNotification":
            await self._check_bucket(asked.bucket)
            return _xml(configuration.render(await self._rules.rules(asked.bucket)))
        if name == "PutBucketNotification":
            rules = configuration.parse(await request.body(MAX_CONFIGURATION_BYTES))
            await self._check_bucket(asked.bucket)
            exist = request.headers.get(b"x-amz-skip-destination-validation", b"").lower() != b"true"
            await self._rules.replace(asked.bucket, rules, partial(self._destinations.check, exist=exist))
            if exist:
                queues = [rule for rule in rules if not rule.is_for_function]
                await self._destinations.test(queues, asked.bucket, request.id)
            return Response(200, [(b"x-amz-request-id", request.id.encode())], b"")
        return None

    async def _check_bucket(self, bucket: str) -> None:
        if not await self._has_bucket(bucket):
            raise NoSuchBucket("The specified bucket does not exist")

    async def begun(self, request: Request, asked: Asked) -> list[Intent]:
        """Note that an object is about to be changed, if anybody is to hear of that."""
        if not asked.event or not await self.is_heard_of(asked.bucket):
            return []
        return await self.note(request, asked.bucket, [asked.key], asked.event)

    async def is_heard_of(self, bucket: str) -> bool:
        """Whether anybody is told of what happens to objects of a bucket."""
        return bool(await self._rules.rules(bucket))

    async def note(self, request: Request, bucket: str, keys: Sequence[str], event: str) -> list[Intent]:
        """Note that a request is about to change these objects."""
        caller = request.caller
        client = request.scope.get("client")
        trace = request.headers.get(b"x-amzn-trace-id", b"").decode("latin-1")[:_MOST_TRACE] or UNSET
        intents = [
            Intent(
                bucket=bucket,
                key=key,
                event=event,
                at=self._clock.epoch(),
                request_id=request.id,
                principal=f"AWS:{caller.user_id(self._account)}" if caller is not None else "",
                address=client[0] if client else "",
                trace=trace,
            )
            for key in keys
        ]
        await self._intents.note(*intents)
        return intents

    async def ended(self, intents: Sequence[Intent], answer: httpcore.Response, size: int) -> None:
        """Note what came of changes, before their client is told: what was told to nobody is told from that.

        The note of one that did not happen is withdrawn here, that of one that did when it has been told.
        """
        if not intents:
            return
        if answer.status >= 300:
            await self._intents.withdraw(*intents)
            return
        said = {name.lower(): value.decode("latin-1") for name, value in answer.headers}
        etag, version = said.get(b"etag", "").strip('"'), said.get(b"x-amz-version-id", "")
        await self._intents.answered(intents, Outcome(etag=etag, version=version, size=size), self._clock.epoch())
        if self._is_silent:
            await self._intents.happened(intents)

    async def withdraw(self, intents: Sequence[Intent]) -> None:
        """Changes that were noted have not happened."""
        if intents:
            await self._intents.withdraw(*intents)

    @property
    def upstream(self) -> Upstream:
        """The S3 server."""
        return self._upstream


def _size(request: Request) -> int:
    """Bytes of the object a request brings, as it says itself; 0 where it does not."""
    headers = request.headers
    said = headers.get(b"x-amz-decoded-content-length") or headers.get(b"content-length") or b""
    return int(said) if said.isdigit() else 0


async def _send_on(send: Send, request: Request, response: httpcore.Response) -> None:
    headers = sent_back(response)
    if request.close:
        headers.append((b"connection", b"close"))
    await send_parts(send, request, response.status, headers, response.aiter_stream())


def _xml(body: bytes) -> Response:
    return Response(200, [(b"content-type", b"application/xml")], body)


def _no_buckets(account: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<ListAllMyBucketsResult xmlns="{configuration.NAMESPACE}"><Owner><ID>{escape(account)}</ID></Owner>'
        "<Buckets></Buckets></ListAllMyBucketsResult>"
    ).encode()
