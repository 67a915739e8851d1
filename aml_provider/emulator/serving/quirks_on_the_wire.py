"""The quirks that change requests and replies on the wire, in front of all routes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response

from aml_provider.emulator.routes.http import reply as json_reply
from aml_provider.emulator.workspace.errors import ServiceError, bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aml_provider.emulator.quirks import Quirks

# Their keys and values are user data.
_BAGS = frozenset(
    {
        "tags",
        "properties",
        "Properties",
        "ParameterAssignments",
        "DataPathAssignments",
        "DataSetDefinitionValueAssignments",
        "logFiles",
    }
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z")
_CREATION = re.compile(r"/Create$|Submit/|^/(DataTypes|datastores|experiments/[^/:]+)$")
# The services that the v2 API replaces; it still uses run history (azureml-v2-rest 0).
_V1 = ("/pipelines/v1.0", "/datastore/v1.0")
_EPOCH = "1970-01-01T00:00:00"
_OTHER_STATUSES = {"NotStarted": "Queued", "Running": "Unknown"}


class SentRequest(NamedTuple):
    """The service of a request, and its parts; ``path`` is the path below the workspace."""

    service: str
    method: str
    path: str
    query: bytes
    body: bytes


class Dialect:
    """Rewrites requests before the routes and replies after them, as the quirks require."""

    def __init__(self, quirks: Quirks) -> None:
        self._quirks = quirks
        self._times: Callable[[str], str] | None = _TIMES.get(quirks.dates)
        self._rewrites = any(
            (self._times, quirks.omit_nulls, quirks.epoch_dates, quirks.odd_statuses, quirks.null_status)
        )

    def read(self, sent: SentRequest) -> SentRequest:
        """The request as a service with these quirks reads it.

        Raises:
            ServiceError: The service does not exist any more, or does not support the filter.
        """
        quirks = self._quirks
        if quirks.v1_gone and sent.service in _V1:
            raise ServiceError(410, "This API has been retired. Use the v2 API.", inner="Retired")
        if quirks.active_only_default and sent.service == "/pipelines/v1.0" and sent.method == "GET":
            pairs = _pairs(sent.query)
            if not any(name == "activeOnly" for name, _ in pairs):
                sent = sent._replace(query=urlencode([*pairs, ("activeOnly", "true")]).encode())
        if quirks.exact_keys and sent.body:
            sent = sent._replace(body=_known_keys(sent))
        for bag, choice in (("Tags", quirks.tag_filters), ("Properties", quirks.property_filters)):
            if choice != "supported" and sent.service == "/history/v1.0":
                sent = _without_filter(sent, bag, refuse=choice == "refused")
        return sent

    def write(self, sent: SentRequest, reply: Response) -> Response:
        """The reply as a service with these quirks sends it."""
        quirks = self._quirks
        if reply.status_code == 204 and quirks.null_last_run and sent.path.endswith("/Last"):
            return json_reply(None, 200)
        if reply.status_code != 200 or not reply.headers.get("Content-Type", "").startswith("application/json"):
            return reply
        listed = quirks.list_envelope != "none" and _is_list_of_entities(sent)
        if not (self._rewrites or listed or quirks.rest_statuses):
            return reply
        content = json.loads(bytes(reply.body))
        # ARM's own statuses are known (azureml-v2-rest 2.2).
        rest = quirks.rest_statuses and sent.service not in ("", "/inference/v1.0")
        if rest and sent.method != "GET" and content is None:
            return Response(None, 204)
        if self._rewrites:
            content = self._rewritten(content)
        if listed and isinstance(content, list):
            content = self._page(sent, content)
        created = rest and sent.method == "POST" and _CREATION.search(sent.path)
        return json_reply(content, 201 if created else 200)

    def _rewritten(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._rewritten(item) for item in value]
        if isinstance(value, str):
            return self._times(value) if self._times and _TIME.fullmatch(value) else value
        if not isinstance(value, dict):
            return value
        if "RunHistoryExperimentName" in value:
            value = self._run(value)
        return {
            key: item if key in _BAGS and item is not None else self._rewritten(item)
            for key, item in value.items()
            if item is not None or not self._quirks.omit_nulls
        }

    def _run(self, run: Mapping[str, Any]) -> dict[str, Any]:
        quirks, status = self._quirks, run["Status"]
        code = status["StatusCode"]
        changes: dict[str, Any] = {}
        if quirks.epoch_dates:
            changes |= {"CreatedDate": _EPOCH, "LastModifiedDate": _EPOCH}
        if quirks.null_status and code in ("NotStarted", 0, "0"):
            changes["Status"] = None
        elif quirks.odd_statuses:
            changes["Status"] = {**status, "StatusCode": _OTHER_STATUSES.get(code, code)}
        return {**run, **changes}

    def _page(self, sent: SentRequest, items: list[Any]) -> dict[str, Any]:
        tokens = [value for name, value in _pairs(sent.query) if name.lower() == "continuationtoken"]
        if tokens and not tokens[-1].isdecimal():
            raise bad_request("Invalid continuationToken.")
        start = int(tokens[-1]) if tokens else 0
        end = start + self._quirks.page_size
        token = str(end) if end < len(items) else None
        if self._quirks.list_envelope == "entity":
            return {"Entity": items[start:end], "ContinuationToken": token}
        return {"value": items[start:end], "continuationToken": token, "nextLink": None}


_TIMES: Mapping[str, Callable[[str], str]] = {
    "offset": lambda text: f"{text.removesuffix('Z')}+00:00",
    "seconds": lambda text: f"{text[:19]}Z",
    "zoneless": lambda text: text.removesuffix("Z"),
}


def _pairs(query: bytes) -> list[tuple[str, str]]:
    return parse_qsl(query.decode("latin-1"), keep_blank_values=True)


def _object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in a body; None if it is something else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_list_of_entities(sent: SentRequest) -> bool:
    # Microsoft's SDK lists the data types before anything else; that list has no other known form.
    return sent.service == "/pipelines/v1.0" and sent.method == "GET" and sent.path != "/DataTypes"


def _known_keys(sent: SentRequest) -> bytes:
    """The body without the keys whose case is not that of the service."""
    body = _object(sent.body)
    if body is None:
        return sent.body

    def known(values: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in values.items() if _is_known(key, sent.service)}

    body = known(body)
    if isinstance(body.get("PipelineSubmissionInfo"), dict):
        body["PipelineSubmissionInfo"] = known(body["PipelineSubmissionInfo"])
    return json.dumps(body).encode()


def _is_known(key: str, service: str) -> bool:
    if key.lower() == "tags":
        # Lower case everywhere, though the documentation of submissions has it in upper case.
        return key == "tags"
    return key[:1].isupper() == (service == "/pipelines/v1.0")


def _is_filter(name: str) -> bool:
    return name.lower().removeprefix("$") == "filter"


def _without_filter(sent: SentRequest, bag: str, *, refuse: bool) -> SentRequest:
    """The request without a filter that uses tags or properties."""
    pairs = _pairs(sent.query)
    in_query = [value for name, value in pairs if _is_filter(name)]
    body = (_object(sent.body) or {}) if sent.path.endswith(":query") else {}
    in_body = [str(value) for key, value in body.items() if _is_filter(key)]
    # Microsoft's SDK finds pipeline runs by one of the service's own properties, so filters on those must work.
    foreign = re.compile(rf"\b{bag}/(?!azureml\.)", re.IGNORECASE)
    if not any(foreign.search(text) for text in (*in_query, *in_body)):
        return sent
    if refuse:
        raise bad_request(f"Invalid filter: {bag} cannot be used.", "InvalidFilter")
    if in_body:
        kept = {key: value for key, value in body.items() if not _is_filter(key)}
        return sent._replace(body=json.dumps(kept).encode())
    kept_pairs = [(name, value) for name, value in pairs if not _is_filter(name)]
    return sent._replace(query=urlencode(kept_pairs).encode())
