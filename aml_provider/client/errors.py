"""All errors of this package, as one tree.

::

    AzureMLError                        permanent: a retry of the task would fail the same way
    ├── InvalidArgument                 ✓  an argument or connection field that cannot be used
    ├── UnsupportedAirflow              ✓  this version of Airflow lacks something that a class needs
    ├── CredentialError                 ✓  no token; the message has the identity provider's reason
    ├── Unreachable                        no connection was established: nothing was sent
    ├── ReplyLost                          sent, and no complete reply: it may have been carried out
    ├── ServiceError                       a reply that is not a success
    │   ├── BadRequest                  ✓  400 and other refusals
    │   ├── AuthenticationRefused       ✓  401
    │   ├── PermissionDenied            ✓  403
    │   ├── NotFound                    ✓  404
    │   ├── Conflict                       409, 412
    │   ├── Throttled                      429
    │   ├── ServerFault                    5xx, 408, and 404 without the service's code
    │   └── MalformedReply                 a success whose body cannot be read
    ├── PipelineError                   ✓  a pipeline, endpoint or component that cannot be run as requested
    │   ├── AmbiguousName               ✓  several of one name
    │   ├── PipelineDisabled            ✓
    │   └── InvalidParameters           ✓  names or types that its interface does not accept
    ├── RunError
    │   ├── RunFailed                      the run ended as Failed
    │   ├── RunCanceled                 ✓  somebody cancelled it in the workspace
    │   ├── RunTimedOut                    its deadline passed
    │   ├── RunUnwatched                   it could not be read, and continues
    │   └── RunStillActive                 it must end before the next one may start, but has not
    ├── ScheduleError                   ✓  a schedule that cannot be found, or cannot be managed as requested
    │   ├── AmbiguousSchedule           ✓  several of one name
    │   ├── ScheduleExists              ✓  it exists already, or belongs to another Airflow
    │   ├── ScheduleStartedRun          ✓  a schedule that was created as disabled started a run
    │   ├── ProvisioningFailed             the service could not set it up
    │   └── ProvisioningUnsettled          its deadline passed, or it could not be read
    ├── ForeignRun                      ✓  a run, or a submission, that belongs to another Airflow
    ├── SubmissionUnsettled                it is not known yet whether a run was submitted; a retry checks again
    └── SubmissionUnknown               ✓  it cannot be established whether a run was submitted

The text of each error ends with the address of its class in the documentation (:mod:`aml_provider.client.help`); the
property ``text`` is the text without the address.

``permanent``: whether a retry is pointless until a person acts. ``in_doubt``: whether the request may have been carried
out although it failed; that decides whether a submission may be repeated. ``retry_after``: the seconds after which the
service accepts the next request; None if it did not say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from aml_provider.client.help import Helped, without_addresses
from aml_provider.client.text import masked, one_line, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

# Codes are words, ids have some forty letters.
_LONGEST_CODE = 200


class AzureMLError(Helped):
    """The root of all errors of this package. In its text, control characters are escaped and signatures are masked.

    Messages quote what an author wrote, and that may be the signed address of a blob. If a message quotes another
    error, the address of that error is left out.
    """

    permanent: bool = False
    in_doubt: bool = False
    retry_after: float | None = None
    #: Whether a metric has counted it.
    is_counted: bool = False

    def __init__(self, *args: object) -> None:
        super().__init__(*(_shown(item) if isinstance(item, str) else item for item in args))

    def __reduce__(self) -> tuple[object, ...]:
        """Keep text and attributes in copies and pickles; Python's default would pass the text to the constructor."""
        return _restored, (type(self), self.args), self.__dict__


def _shown(text: str) -> str:
    return masked(printable(without_addresses(text), lines=True))


def _restored(kind: type[AzureMLError], args: tuple[object, ...]) -> AzureMLError:
    return kind.__new__(kind, *args)


def ends_a_wait(error: AzureMLError) -> bool:
    """Whether an error ends the wait for a run. A refused identity does not, because the refusal may be temporary."""
    return error.permanent and not isinstance(error, (AuthenticationRefused, CredentialError))


def is_gone(error: AzureMLError) -> bool:
    """Whether a service answers that it has been shut down, or never existed."""
    return isinstance(error, ServiceError) and error.status in {410, 501}


class InvalidArgument(AzureMLError, ValueError):
    """An argument or a connection field cannot be used; the message names it.

    Args:
        argument: Its name.
        problem: What is wrong with it.
        rendering: A remark on template rendering. It is in the message only, not in ``problem``.
    """

    permanent = True

    def __init__(self, argument: str, problem: str, *, rendering: str = "") -> None:
        super().__init__(f"{argument}: {problem}{rendering}")
        self.argument = argument
        self.problem = masked(problem)


class UnsupportedAirflow(AzureMLError, RuntimeError):
    """This version of Airflow lacks something that a class needs; the message says what, and what to use instead."""

    permanent = True


class CredentialError(AzureMLError):
    """No token could be obtained; the message has the identity provider's reason."""

    permanent = True


class Unreachable(AzureMLError):
    """No connection was established, so nothing was sent."""


class ReplyLost(AzureMLError):
    """The request was sent, but no complete reply was received: it may have been carried out."""

    in_doubt = True


class ServiceError(AzureMLError):
    """The service answered with something other than success.

    Attributes:
        status: The HTTP status.
        code: The service's error code, such as ``UserError``; empty if it gave none.
        message: The service's message.
        request_ids: ``name=value`` facts that Azure support asks for.
        hint: The next step, if we know one.
    """

    def __init__(
        self,
        operation: str,
        *,
        status: int,
        code: str = "",
        message: str = "",
        request_ids: Iterable[str] = (),
        retry_after: float | None = None,
        hint: str = "",
    ) -> None:
        self.operation = operation
        self.status = status
        self.code = one_line(code, _LONGEST_CODE)
        self.message = one_line(message)
        self.request_ids = tuple(one_line(item, _LONGEST_CODE) for item in request_ids)
        self.retry_after = retry_after
        self.hint = hint
        said = f" ({self.code})" if code else ""
        text = f"{one_line(operation)}: the service answered {status}{said}: {self.message or 'no message'}"
        if hint:
            text = f"{text.rstrip('.')}. {hint}"
        if self.request_ids:
            text = f"{text} [{', '.join(self.request_ids)}]"
        super().__init__(text)

    def with_hint(self, hint: str) -> Self:
        """The same error with one more sentence about the next step."""
        return type(self)(
            self.operation,
            status=self.status,
            code=self.code,
            message=self.message,
            request_ids=self.request_ids,
            retry_after=self.retry_after,
            hint=f"{self.hint} {hint}".strip(),
        )


class BadRequest(ServiceError):
    """The service rejects the request."""

    permanent = True


class AuthenticationRefused(ServiceError):
    """401: the service rejects the token."""

    permanent = True


class PermissionDenied(ServiceError):
    """403: the identity lacks a permission; the message names the action and a role that grants it."""

    permanent = True


class NotFound(ServiceError):
    """404 with the service's error code: no such resource in this workspace."""

    permanent = True


class Conflict(ServiceError):
    """409 or 412: somebody else changed the resource."""


class Throttled(ServiceError):
    """429: too many requests, and the retry budget is used up. The request was not carried out."""


class ServerFault(ServiceError):
    """5xx or 408: the service failed; a request that changes something may have been carried out.

    A 404 without the service's error code counts as one too: a proxy may have answered, so it does not show that
    something is missing.
    """

    in_doubt = True


class MalformedReply(ServiceError):
    """The status was a success, but the body cannot be read."""

    in_doubt = True


class PipelineError(AzureMLError):
    """A pipeline, an endpoint or a component that cannot be run as requested."""

    permanent = True


class AmbiguousName(PipelineError):
    """Several pipelines share the name; the message lists them."""


class PipelineDisabled(PipelineError):
    """The pipeline or endpoint is not active."""


class InvalidParameters(PipelineError):
    """A parameter's name or value does not fit the pipeline's interface; the message lists what it accepts."""


class RunError(AzureMLError):
    """A pipeline run did not end in success.

    Attributes:
        run_id: The run.
        link: Its page in the studio.
    """

    def __init__(self, message: str, *, run_id: str, link: str = "") -> None:
        # A log's tail ends with a line break.
        between = "" if message.endswith("\n") else " "
        super().__init__(f"{message}{between}See {link}" if link else message)
        self.run_id = run_id
        self.link = link


class RunFailed(RunError):
    """The run ended as Failed; the message carries the failed step, its error and the tail of its log.

    Attributes:
        failed_steps: The names of the failed steps, as far as they are known.
    """

    def __init__(self, message: str, *, run_id: str, link: str = "", failed_steps: tuple[str, ...] = ()) -> None:
        super().__init__(message, run_id=run_id, link=link)
        self.failed_steps = failed_steps


class RunCanceled(RunError):
    """Somebody cancelled the run in the workspace.

    It is permanent, because a retry would restart what a person has stopped.
    """

    permanent = True


class RunTimedOut(RunError):
    """The run did not end before its deadline."""


class RunUnwatched(RunError):
    """The run could not be read within the retry budget; the run itself may be fine."""


class RunStillActive(RunError):
    """A run that must end before the next one may be submitted did not end in time."""


class ForeignRun(AzureMLError):
    """A run, or a submission, belongs to another Airflow, so it is neither cancelled nor replaced."""

    permanent = True


class SubmissionUnsettled(AzureMLError):
    """It is not known yet whether a submission was carried out: no look-up was answered. A retry checks again."""


class SubmissionUnknown(AzureMLError):
    """It cannot be established whether a submission was carried out, so it is not repeated."""

    permanent = True


class ScheduleError(AzureMLError):
    """A schedule that cannot be found, or cannot be managed as requested."""

    permanent = True


class AmbiguousSchedule(ScheduleError):
    """Several schedules share the name; the message lists them."""


class ScheduleExists(ScheduleError):
    """The schedule exists already, and we may not change it."""


class ScheduleStartedRun(ScheduleError):
    """A schedule that was created as disabled has started a run; the message names the run."""


class ProvisioningFailed(ScheduleError):
    """The service could not set the schedule up; a retry writes it again."""

    permanent = False


class ProvisioningUnsettled(ScheduleError):
    """It is not known yet whether the service has set the schedule up; a retry continues the wait."""

    permanent = False
