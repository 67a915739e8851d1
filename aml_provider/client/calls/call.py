"""An operation of the workspace API: its request, and how its reply is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar
from urllib.parse import parse_qsl, quote, urlsplit

from aml_provider.client.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypedDict, Unpack

    from aml_provider.client.secret import Secret

    class Options(TypedDict, total=False):
        """The optional fields of a call."""

        query: tuple[tuple[str, str], ...]
        body: Any
        headers: tuple[tuple[str, str], ...]
        repeatable: bool
        right: str
        role: str
        text: bool
        ml_token: bool
        page_key: str
        limit: int | None
        enough: Callable[[Any], bool]
        secrets: Callable[[Any], Iterable[Secret[Any]]]


T = TypeVar("T")

Service = Literal["arm", "pipelines", "history", "datastore", "artifact", "metric"]

RIGHTS = "Microsoft.MachineLearningServices/workspaces"
#: A built-in role that may change what belongs to pipelines, runs and datastores.
WRITER = "AzureML Data Scientist"

_LISTS = ("value", "Value", "Entity", "entity")
_TOKENS = ("continuationToken", "ContinuationToken")
_LINKS = ("nextLink", "NextLink")
# The longest token that fits into an address with the rest of it.
_LONGEST_TOKEN = 32_768
_TOKENS_IN_LINKS = frozenset({"continuationtoken", "skiptoken"})
_TOKENS_OF_ARM = frozenset({"skip", "skiptoken"})

#: The parameters that name a page of a list, with their values.
Tokens = tuple[tuple[str, str], ...]

#: The version of Azure Resource Manager's API: a stable one with all operations that are used (azureml-v2-rest 2.4).
ARM_VERSION = (("api-version", "2024-04-01"),)


@dataclass(frozen=True)
class Call(Generic[T]):
    """One operation of the workspace API.

    Args:
        operation: The action and its subject, for messages: ``get published pipeline 'x'``.
        method: The HTTP method.
        service: The service that answers; it decides the prefix of the path.
        path: The path below the workspace.
        parse: Reads the reply's JSON into the result.
        query: Query parameters in order.
        body: The JSON body; None: no body.
        headers: Headers besides the usual ones.
        repeatable: Whether sending it twice does the same as sending it once.
        right: The action that a role must grant, for the message of a 403.
        role: A built-in role that grants it.
        text: Whether the reply is plain text, not JSON.
        ml_token: Whether the request also carries a token for Azure Machine Learning itself, if the credential can get
            one.
        page_key: For a list that may come in pages: the name under which the token of the next page is sent, in the
            body if there is one, else in the query. The result is then a tuple of the items of all pages.
        limit: With ``page_key``: the maximum number of items to return. Once that many have been read, no further page
            is requested.
        enough: With ``page_key``: decides whether the items so far are all that is needed. If they are, no further page
            is requested.
        secrets: The result's secrets, which no log may show.
        object_hook: The argument of :func:`json.loads`: makes each object in the reply smaller before the next one is
            read.
    """

    operation: str
    method: str
    service: Service
    path: str
    parse: Callable[[Any], T]
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()
    repeatable: bool = True
    right: str = f"{RIGHTS}/read"
    role: str = "Reader"
    text: bool = False
    ml_token: bool = False
    page_key: str | None = None
    limit: int | None = None
    enough: Callable[[T], bool] | None = None
    secrets: Callable[[T], Iterable[Secret[Any]]] | None = None
    object_hook: Callable[[dict[str, Any]], Any] | None = None

    def page(self, tokens: Tokens) -> Call[T]:
        """Make the call for another page of the same list: the page that these tokens name."""
        if isinstance(self.body, dict):
            return replace(self, body={**self.body, **dict(tokens)})
        return replace(self, query=(*self.query, *tokens))


class Resource(NamedTuple):
    """A kind of resource: its service, and the beginning of the actions that a role must grant.

    Its methods make calls; their arguments, ``options`` included, are the fields of a :class:`Call`.
    """

    service: Service
    actions: str

    def read(
        self, operation: str, path: str, parse: Callable[[Any], T], *, method: str = "GET", **options: Unpack[Options]
    ) -> Call[T]:
        """Make a call that changes nothing."""
        options.setdefault("right", f"{RIGHTS}/{self.actions}/read")
        return Call(operation, method, self.service, path, parse, **options)

    def read_list(
        self, operation: str, path: str, parse: Callable[[Any], T], *, method: str = "GET", **options: Unpack[Options]
    ) -> Call[tuple[T, ...]]:
        """Make a call that reads a list; ``parse`` reads one item."""
        options.setdefault("page_key", "continuationToken")
        return self.read(operation, path, lambda wire: each(parse, wire), method=method, **options)

    def write(
        self, operation: str, method: str, path: str, parse: Callable[[Any], T], **options: Unpack[Options]
    ) -> Call[T]:
        """Make a call that changes something."""
        options.setdefault("right", f"{RIGHTS}/{self.actions}/write")
        options.setdefault("role", WRITER)
        return Call(operation, method, self.service, path, parse, **options)


def segment(argument: str, value: str) -> str:
    """Encode a value as one segment of a path.

    Raises:
        InvalidArgument: The value would lead to another path: it is empty, or it is ``.`` or ``..``, which URLs
            resolve.
    """
    if not isinstance(value, str) or value.strip() in {"", ".", ".."}:
        raise InvalidArgument(argument, f"is {value!r}; it must name something")
    try:
        return quote(value, safe="")
    except UnicodeEncodeError:
        raise InvalidArgument(argument, f"is {value!r}, which has half a character") from None


def flag(*, value: bool) -> str:
    """A bool as the service writes it in a query."""
    return "true" if value else "false"


def each(read: Callable[[Any], T], wire: Any) -> tuple[T, ...]:
    """Read the items of a list, which may be in an envelope of the service.

    Anything else is an error, and not an empty list: decisions depend on an empty answer.
    """
    found = wire
    if isinstance(wire, dict):
        found = next((wire[key] for key in _LISTS if key in wire), None)
    if not isinstance(found, list):
        raise TypeError(f"a list was expected, not {type(wire).__name__}")
    return tuple(read(item) for item in found)


def next_page(wire: Any, page_key: str) -> Tokens | None:
    """Read the tokens that name a list's next page; None at the end of the list.

    ``page_key`` is the name under which the token is sent. If it is ``$skip``, the list is from Azure Resource Manager.
    Then the link contains ``$skip`` (azureml-v2-rest 2.5) or ``$skipToken`` (other services of Azure), and the token is
    sent under the name that it has in the link.

    Raises:
        ValueError: There is a next page, but its token cannot be sent.
    """
    if not isinstance(wire, dict):
        return None
    token = next((wire[key] for key in _TOKENS if wire.get(key)), None)
    if token is not None:
        return ((page_key, _sendable(str(token))),)
    link = next((wire[key] for key in _LINKS if wire.get(key)), None)
    if link is None:
        return None
    # Only tokens are taken from the link: a reply must not decide where a request goes.
    names = _TOKENS_OF_ARM if page_key == "$skip" else _TOKENS_IN_LINKS
    query = parse_qsl(urlsplit(str(link)).query)
    found = tuple((name, _sendable(value)) for name, value in query if name.lower().removeprefix("$") in names)
    if not found:
        raise ValueError("the list continues, but its link to the next page has no token")
    return found if page_key == "$skip" else ((page_key, found[0][1]),)


def _sendable(token: str) -> str:
    size = len(quote(token))
    if size > _LONGEST_TOKEN:
        raise ValueError(f"the token of the next page has {size:,} letters")
    return token


def nothing(_: Any) -> None:
    """Read an answer whose body does not matter."""
