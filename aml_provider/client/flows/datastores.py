"""Reading datastores: in the datastore service of Azure ML v1, or in Azure Resource Manager.

The connection's ``datastore_api`` says where. With ``auto`` v1's service is asked first. If that service is gone, or
does not know a datastore that Azure Resource Manager knows, the answer of Azure Resource Manager counts.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError, InvalidArgument, NotFound, ServiceError, is_gone
from aml_provider.client.flows.finding import DATASTORE, advice, did_you_mean, missing, similar
from aml_provider.client.help import sentence, text_of
from aml_provider.client.http.messages import OwnSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aml_provider.client.calls import Call
    from aml_provider.client.entities import Datastore
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.settings import WorkspaceSettings

T = TypeVar("T")
S = TypeVar("S")

log = logging.getLogger(__name__)

# The workspaces for which this process has logged that v1's service is gone.
_CHANGED_OVER: set[str] = set()


def find_datastore(name: str, argument: str = "datastore") -> Flow[Datastore]:
    """Read the datastore that an argument names, with its credentials.

    Raises:
        InvalidArgument: It does not exist; the message suggests similar names.
    """
    settings: WorkspaceSettings = yield OwnSettings()
    try:
        store = yield from _in_turn(settings, calls.get_datastore(name), calls.get_arm_datastore(name))
    except NotFound as error:
        hint = yield from _advice(name)
        problem = f"the workspace {settings.workspace_name!r} has no datastore {name!r}{f'; {hint}' if hint else '.'}"
        second = error.__cause__
        if second is not None and not isinstance(second, NotFound):
            problem = f"{sentence(problem)} Nor could it be read in Azure Resource Manager: {text_of(second)}"
        raise InvalidArgument(argument, problem) from None
    return (yield from _with_secrets(store))


def find_default_datastore() -> Flow[Datastore]:
    """Read the workspace's default datastore, with its credentials.

    Raises:
        ServiceError: There is none, or it cannot be read.
    """
    settings: WorkspaceSettings = yield OwnSettings()
    in_arm = calls.list_arm_datastores(only_default=True)
    found = yield from _in_turn(settings, calls.get_default_datastore(), in_arm)
    if isinstance(found, tuple):
        if not found:
            raise NotFound(in_arm.operation, status=404, message="the workspace has no default datastore")
        found = found[0]
    return (yield from _with_secrets(found))


def list_datastores(*, secrets: bool = True) -> Flow[tuple[Datastore, ...]]:
    """List the workspace's datastores; Azure Resource Manager lists them without their credentials."""
    settings: WorkspaceSettings = yield OwnSettings()
    return (yield from _in_turn(settings, calls.list_datastores(secrets=secrets), calls.list_arm_datastores()))


def _in_turn(settings: WorkspaceSettings, of_v1: Call[T], in_arm: Call[S]) -> Flow[T | S]:
    """Get the answer of v1's service or of Azure Resource Manager; the connection's ``datastore_api`` says which.

    Raises:
        NotFound: v1's service does not know the datastore. If Azure Resource Manager was asked too, the cause is its
            error.
    """
    first: ServiceError | None = None
    if settings.datastore_api != "arm":
        try:
            found: T = yield of_v1
        except ServiceError as error:
            # A service that is gone may also answer 404, as one that works does for an unknown datastore.
            if settings.datastore_api == "v1" or not (is_gone(error) or error.status == 404):
                raise
            first = error
        else:
            return found
    try:
        other: S = yield in_arm
    except AzureMLError as second:
        if isinstance(first, NotFound):
            raise first from second
        raise
    if first is not None:
        _report(settings, first)
    return other


def _advice(name: str) -> Flow[str]:
    try:
        listed = yield from list_datastores(secrets=False)
    except AzureMLError:
        # The error that this would explain matters more.
        return ""
    return advice(DATASTORE, name, listed)


def _with_secrets(store: Datastore) -> Flow[Datastore]:
    if not store.lacks_secrets:
        return store
    found: Datastore = yield calls.list_datastore_secrets(store)
    return found


def _report(settings: WorkspaceSettings, error: ServiceError) -> None:
    if settings.identity in _CHANGED_OVER:
        return
    _CHANGED_OVER.add(settings.identity)
    log.warning(
        "The datastore service of Azure ML v1 does not return what Azure Resource Manager returns, so datastores of "
        "workspace %r are read there. With datastore_api=arm in the connection, the first request is saved. %s",
        settings.workspace_name,
        error.text,
    )


def check_datastores(wanted: Iterable[tuple[str, str]], known: set[str], *, of_job: bool) -> Flow[None]:
    """Check that datastores exist before a run that needs them is submitted.

    Args:
        wanted: Pairs of an argument and the datastore that it names.
        known: Names that were found before, which are not checked again; new ones are added.
        of_job: Whether a job needs the datastores. If so, Azure Resource Manager lists them, because every job needs
            Azure Resource Manager anyway.

    Raises:
        InvalidArgument: One of them does not exist. If the workspace's datastores cannot be listed, nothing is checked,
            and the service itself decides.
    """
    # The service ignores case.
    asked = [(argument, name) for argument, name in wanted if name.casefold() not in known]
    if not asked:
        return
    try:
        listed: tuple[Datastore, ...] = yield calls.list_arm_datastores() if of_job else DATASTORE.listing()
    except AzureMLError:
        return
    names = {item.name for item in listed}
    known.update(name.casefold() for name in names)
    for argument, name in asked:
        if name.casefold() not in known:
            raise missing(DATASTORE, argument, repr(name), did_you_mean(similar(name, names)))
