"""The session: turns calls into requests and replies into results, without doing I/O.

Every decision is in a generator that yields a :class:`Request` or a :class:`Pause`, and is sent a
:class:`~aml_provider.client.http.reply.Reply`. The two clients in :mod:`aml_provider.client.http.clients` carry out
requests and pauses and nothing else, so that sync and async cannot differ.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from aml_provider.client import calls
from aml_provider.client.calls.call import Call, Tokens, next_page
from aml_provider.client.errors import (
    AuthenticationRefused,
    AzureMLError,
    BadRequest,
    Conflict,
    InvalidArgument,
    MalformedReply,
    NotFound,
    PermissionDenied,
    ServerFault,
    ServiceError,
    Throttled,
)
from aml_provider.client.help import sentence
from aml_provider.client.http.exchange import MIB, MOST_OF_A_PAGE, MOST_OF_A_RECORD, MOST_OF_A_TEXT
from aml_provider.client.http.messages import Flow, Machine, OwnSettings, Request, T, Work
from aml_provider.client.http.reply import error_facts
from aml_provider.client.http.retry import RetryPolicy, attempt
from aml_provider.client.trouble import Troubles

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.http.reply import Reply
    from aml_provider.client.secret import Secret
    from aml_provider.client.settings import WorkspaceSettings

R = TypeVar("R")

log = logging.getLogger(__name__)

_PREFIXES = {
    "arm": "",
    "pipelines": "/pipelines/v1.0",
    "history": "/history/v1.0",
    "datastore": "/datastore/v1.0",
    "artifact": "/artifact/v2.0",
    "metric": "/metric/v2.0",
}
# The next step if a service of Azure ML v1 has been shut down.
_SUCCESSORS = {
    "pipelines": (
        "The pipelines service of Azure ML v1 has been shut down. Use components instead of published pipelines "
        "(component_name), and the operators for job schedules, such as AzureMLCreateJobScheduleOperator, instead of "
        "those for schedules."
    ),
    "datastore": (
        "The datastore service of Azure ML v1 has been shut down. With datastore_api=auto or arm in the connection, "
        "datastores are read in Azure Resource Manager."
    ),
}
# The next steps if something between this host and the service has answered, or the network is the wrong one.
_WITHOUT_CODE = (
    "Azure gives an error code with each 404, and this one has none: a proxy or another server may have answered, so "
    "it does not show that something is missing. Check the connection's region and endpoint."
)
_PAGE = (
    "A proxy or a gateway has answered with its own page, and not Azure. Let it pass requests to the hosts of Azure."
)
_PRIVATE = (
    "The workspace accepts requests only over its private endpoint: send them from a network that has it, and check "
    "that the host's name resolves to a private address there."
)
# With the largest pages of the services, enough for half a million items; a longer list is taken for endless.
_MOST_PAGES = 1000
# To read a reply of more bytes would block an event loop for too long: a page of 500 runs has about half a megabyte.
_LONG = MIB


def path_of(call: Call[Any], settings: WorkspaceSettings) -> str:
    """The path of a call's URL, without its query."""
    return f"{_PREFIXES[call.service]}{settings.scope_path}{call.path}"


class Session:
    """The rules of one workspace: addresses, tokens, retries, errors.

    Args:
        settings: The workspace.
        policy: How long repeatable requests are repeated.

    Attributes:
        secrets: The secrets in replies, which no log may show. The driver masks them and empties the list.
    """

    def __init__(self, settings: WorkspaceSettings, policy: RetryPolicy) -> None:
        self.settings = settings
        self.secrets: list[Secret[Any]] = []
        self._policy = policy
        self._api_url = settings.api_url
        self._troubles = Troubles()

    def run(self, flow: Flow[T]) -> Machine[T]:
        """Turn a flow's calls into requests; its requests and pauses pass through.

        Each call has its own budget for repetitions. A flow's bare requests, such as the pages of a folder's listing,
        share one budget, because a caller waits for all of them.
        """
        spent: dict[bool, float] = {}
        try:
            step = next(flow)
            while True:
                try:
                    if isinstance(step, Call):
                        result = yield from self.perform(step)
                    elif isinstance(step, Request):
                        result = yield from attempt(step, self._policy, self._troubles, spent)
                    elif isinstance(step, OwnSettings):
                        result = self.settings
                    else:
                        result = yield step
                except AzureMLError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as stop:
            value: T = stop.value
            return value
        finally:
            flow.close()

    def perform(self, call: Call[T]) -> Machine[T]:
        """Carry out one call; for a list, request all pages, or as many as its limit needs.

        Returns:
            The reply as the call's ``parse`` has read it.

        Raises:
            ServiceError: The service refused or failed.
            Unreachable: No connection was established.
            ReplyLost: The request was sent, but no complete reply was received.
        """
        result = yield from self._perform(call)
        if call.secrets is not None:
            self.secrets += call.secrets(result)
        return result

    def _perform(self, call: Call[T]) -> Machine[T]:
        key = call.page_key
        if key is None:
            return (yield from self._understand(call, (yield from self._ask(call)), call.parse))
        items: Any = ()
        # A repeated page would never end; Microsoft's SDK stops there too.
        seen: set[Tokens] = set()
        page = call
        while len(seen) < _MOST_PAGES:
            reply = yield from self._ask(page)
            found, tokens = yield from self._understand(
                page, reply, lambda wire: (call.parse(wire), next_page(wire, key))
            )
            items += found
            is_enough = (call.limit is not None and len(items) >= call.limit) or (
                call.enough is not None and call.enough(items)
            )
            if tokens is None or tokens in seen or is_enough:
                whole: T = items[: call.limit]
                return whole
            seen.add(tokens)
            page = call.page(tokens)
        raise MalformedReply(call.operation, status=200, message=f"the list has not ended after {_MOST_PAGES} pages")

    def _ask(self, call: Call[Any]) -> Machine[Reply]:
        """Send one request; raise unless it succeeds."""
        if call.service == "arm":
            base = self.settings.management_url
        else:
            try:
                base = yield from self._discover()
            except AzureMLError as error:
                # Whatever happened to the discovery, the call's own request was not sent.
                error.in_doubt = False
                raise
        headers = [("Accept", "text/plain, application/json" if call.text else "application/json"), *call.headers]
        content = None
        if call.body is not None:
            content = json.dumps(call.body).encode()
            headers.append(("Content-Type", "application/json; charset=utf-8"))
        request = Request(
            operation=call.operation,
            method=call.method,
            url=f"{base}{path_of(call, self.settings)}",
            query=call.query,
            headers=tuple(headers),
            content=content,
            scope=self.settings.token_scope,
            ml_scope=self.settings.ml_token_scope if call.ml_token else None,
            repeatable=call.repeatable,
            most=MOST_OF_A_TEXT if call.text else MOST_OF_A_PAGE if call.page_key else MOST_OF_A_RECORD,
        )
        reply = yield from attempt(request, self._policy, self._troubles)
        # Microsoft's SDK accepts 200 only. But a submission with another success status was carried out too.
        if not reply.is_success:
            raise self._refusal(call, reply)
        return reply

    def _discover(self) -> Machine[str]:
        """The base URL of the workspace's services, found once through Azure Resource Manager and discovery."""
        if self._api_url is None:
            workspace = yield from self.perform(calls.get_workspace())
            # Discovery answers without a token, so it gets none; but its answer decides where tokens go later.
            request = Request("discover the workspace's services", "GET", workspace.discovery_url)
            if not self.settings.trusts(workspace.discovery_url, self.settings.token_scope):
                raise InvalidArgument(
                    "region",
                    f"is not set, and the workspace names {workspace.discovery_url.partition('?')[0]!r} for discovery, "
                    f"which is not a host of the cloud {self.settings.cloud.name!r}; set region or endpoint",
                )
            reply = yield from attempt(request, self._policy, self._troubles)
            services = reply.json() if reply.status == 200 else None
            if not isinstance(services, dict) or not isinstance(services.get("api"), str):
                raise MalformedReply(
                    request.operation,
                    status=reply.status,
                    message="no service named 'api' in the answer",
                    request_ids=reply.ids(None),
                    hint="Set region or endpoint in the connection.",
                )
            self._api_url = services["api"].rstrip("/")
        return self._api_url

    def _understand(self, call: Call[Any], reply: Reply, read: Callable[[Any], R]) -> Machine[R]:
        """Read a reply; a long one in a thread, if the driver has an event loop."""
        if len(reply.body) <= _LONG:
            return self._read(call, reply, read)
        # The parser of JSON lets other threads run only where it calls Python.
        yielding = call if call.object_hook else replace(call, object_hook=_unchanged)
        result: R = yield Work(lambda: self._read(yielding, reply, read))
        return result

    def _read(self, call: Call[Any], reply: Reply, read: Callable[[Any], R]) -> R:
        try:
            if reply.is_page:
                # A gateway's page is never an answer, not even where its content does not matter.
                raise ValueError("a page")  # noqa: TRY301 - it is reported below, like every body that cannot be read
            if call.text:
                return read(reply.body.decode("utf-8", "replace"))
            return read(reply.json(call.object_hook))
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
            pass
        # Without a cause: it holds the body, in clear and at any length.
        raise MalformedReply(
            call.operation,
            status=reply.status,
            message="the reply does not have the form that this operation returns"
            f"{self._excerpt(call, reply, ' (%r)')}",
            request_ids=reply.ids(None),
            hint="Check that the connection's endpoint is a workspace API, and that no proxy answers instead.",
        )

    def _excerpt(self, call: Call[Any], reply: Reply, form: str) -> str:
        """The beginning of a reply for a message; empty for an unknown host, whose reply may be confidential."""
        base = self.settings.management_url if call.service == "arm" else self._api_url
        return form % reply.excerpt() if base and self.settings.knows(base) else ""

    def _refusal(self, call: Call[Any], reply: Reply) -> ServiceError:
        wire = reply.json()
        code, message = error_facts(wire)
        message = reply.clean(message) or self._excerpt(call, reply, "%s")
        kind: type[ServiceError] = BadRequest
        hint = ""
        if reply.status == 401:
            kind = AuthenticationRefused
            hint = self._hint_on_token() + reply.on_clocks(datetime.now(UTC))
        elif reply.status == 403:
            kind = PermissionDenied
            hint = (
                f"Its identity ({self._identity()}) needs the action {call.right} on workspace "
                f"{self.settings.workspace_name!r}; the role {call.role!r} there grants it."
            )
        elif reply.status == 404 and code:
            kind = NotFound
            hint = (
                f"Searched in workspace {self.settings.workspace_name!r} of resource group "
                f"{self.settings.resource_group!r}."
            )
        elif reply.status == 404:
            kind = ServerFault
            hint = _WITHOUT_CODE
        elif reply.status in {409, 412}:
            kind = Conflict
        elif reply.status == 429:
            kind = Throttled
        elif reply.status >= 500 or reply.status == 408:
            kind = ServerFault
        elif reply.status == 410:
            hint = _SUCCESSORS.get(call.service, "")
        elif 300 <= reply.status < 400:
            hint = "Redirects are not followed: set the connection's region or endpoint to the address that answers."
        if reply.status in {401, 403} and reply.is_page:
            hint = _PAGE
        elif "private link" in message.lower():
            # Seen with 401, 403 and 502.
            hint = _PRIVATE
        if call.ml_token and self.settings.ml_token_scope is None and "token" in message.lower():
            hint = (
                f"{sentence(hint)} It was sent without a token for {self.settings.cloud.ml_resource}, because "
                "auth_method 'static_token' has a token for one audience; use another auth_method."
            ).strip()
        return kind(
            call.operation,
            status=reply.status,
            code=reply.clean(code),
            message=message,
            request_ids=reply.ids(wire),
            retry_after=reply.retry_after(),
            hint=hint,
        )

    def _hint_on_token(self) -> str:
        if self.settings.auth_method == "static_token":
            return (
                "With auth_method 'static_token' the connection's password is the token: a current one for "
                f"{self.settings.token_scope}, or the value of AML_EMULATOR_TOKEN for a local workspace."
            )
        return (
            f"The token was for {self.settings.token_scope}, obtained by auth_method {self.settings.auth_method!r}; "
            "check the connection's tenant_id and cloud, and that the workspace is in that tenant."
        )

    def _identity(self) -> str:
        who = f"client id {self.settings.client_id}" if self.settings.client_id else "see the connection"
        return f"auth_method {self.settings.auth_method!r}, {who}"


def _unchanged(wire: dict[str, Any]) -> dict[str, Any]:
    return wire
