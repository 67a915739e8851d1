"""Everything that can go wrong between us and a workspace, as one tree.

::

    AzureMLError                        permanent: would a retry of the task meet the same wall?
    ├── InvalidArgument                 ✓  an argument or connection field that cannot be used
    ├── CredentialError                 ✓  no token, and the identity provider says why
    ├── Unreachable                        no connection was established: nothing was sent
    ├── ReplyLost                          sent, and no usable answer: it may have been carried out
    ├── ServiceError                       an answer that is not a success
    │   ├── BadRequest                  ✓  400 and other refusals
    │   ├── AuthenticationRefused       ✓  401
    │   ├── PermissionDenied            ✓  403
    │   ├── NotFound                    ✓  404
    │   ├── Conflict                       409, 412
    │   ├── Throttled                      429
    │   ├── ServerFault                    5xx, 408
    │   └── MalformedReply                 a success that cannot be read
    ├── PipelineError                   ✓  a published pipeline that cannot be run as asked
    │   ├── AmbiguousName               ✓  several active ones of one name
    │   ├── PipelineDisabled            ✓
    │   └── InvalidParameters           ✓  names or types that its interface does not have
    ├── RunError
    │   ├── RunFailed                      the run ended as Failed
    │   ├── RunCanceled                 ✓  somebody cancelled it in the workspace
    │   ├── RunTimedOut                    its deadline passed
    │   ├── RunUnwatched                   it could not be read, and goes on
    │   └── RunStillActive                 it must end before the next one may start, and has not
    ├── ScheduleError                   ✓  a native schedule that cannot be come to, or managed, as asked
    │   ├── AmbiguousSchedule           ✓  several of one name
    │   ├── ScheduleExists              ✓  it exists, and must not, or is another Airflow's
    │   ├── ScheduleStartedRun          ✓  a run came of a schedule that was to start none
    │   ├── ProvisioningFailed             the service could not set it up
    │   └── ProvisioningUnsettled          its deadline passed, or it could not be read
    ├── ForeignRun                      ✓  a run, or the submission of one, that is another Airflow's
    ├── SubmissionUnsettled                a submission's fate is not known yet; a retry looks again
    └── SubmissionUnknown               ✓  a submission's fate cannot be established

``permanent`` says whether trying again could help without anybody's act. ``in_doubt`` says whether the request may have
been carried out although it failed: the question that decides if a submission may be repeated. ``retry_after`` are the
seconds after which the service wants to be asked again; None where it did not say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.client.text import one_line, printable

if TYPE_CHECKING:
    from collections.abc import Iterable


# Codes are words, ids have some forty letters.
_LONGEST_CODE = 200


class AzureMLError(Exception):
    """The root of all errors of this package. Its text steers no terminal, whoever wrote parts of it."""

    permanent: bool = False
    in_doubt: bool = False
    retry_after: float | None = None

    def __init__(self, *args: object) -> None:
        super().__init__(*(printable(item, lines=True) if isinstance(item, str) else item for item in args))

    def __reduce__(self) -> tuple[object, ...]:
        """Keep text and attributes in copies and pickles; by default Python would pass the text to the constructor."""
        return _restored, (type(self), self.args), self.__dict__


def _restored(kind: type[AzureMLError], args: tuple[object, ...]) -> AzureMLError:
    return kind.__new__(kind, *args)


def ends_a_wait(error: AzureMLError) -> bool:
    """Whether the service has said that a run cannot be read; a refused identity may be a passing trouble of all."""
    return error.permanent and not isinstance(error, (AuthenticationRefused, CredentialError))


class InvalidArgument(AzureMLError, ValueError):
    """An argument or a connection field cannot be used; the message names it.

    Args:
        argument: Its name.
        problem: What is wrong with it.
        rendering: What else to say of a value that templates may have made. Only the message has it, not ``problem``.
    """

    permanent = True

    def __init__(self, argument: str, problem: str, *, rendering: str = "") -> None:
        super().__init__(f"{argument}: {problem}{rendering}")
        self.argument = argument
        self.problem = problem


class CredentialError(AzureMLError):
    """No token could be got; carries what the identity provider said."""

    permanent = True


class Unreachable(AzureMLError):
    """No connection was established, so nothing was sent."""


class ReplyLost(AzureMLError):
    """The request left and no complete answer came back: it may have been carried out."""

    in_doubt = True


class ServiceError(AzureMLError):
    """The service answered, but not with success.

    Attributes:
        status: The HTTP status.
        code: The service's own error code, such as ``UserError``; empty when it gave none.
        message: The service's own message.
        request_ids: ``name=value`` facts that Azure support asks for.
        hint: The next step, where we know one.
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


class BadRequest(ServiceError):
    """The service refuses the request as it is."""

    permanent = True


class AuthenticationRefused(ServiceError):
    """401: the service does not take the token."""

    permanent = True


class PermissionDenied(ServiceError):
    """403: the identity lacks a right; the message names the action and a role that has it."""

    permanent = True


class NotFound(ServiceError):
    """404: no such resource in this workspace."""

    permanent = True


class Conflict(ServiceError):
    """409 or 412: somebody else changed the resource."""


class Throttled(ServiceError):
    """429: too many requests, also after the retry budget was used up. What was asked for was not done."""


class ServerFault(ServiceError):
    """5xx or 408: the service failed; a request that changes something may have been carried out."""

    in_doubt = True


class MalformedReply(ServiceError):
    """The status was a success, but the body cannot be read."""

    in_doubt = True


class PipelineError(AzureMLError):
    """A published pipeline or endpoint that cannot be run as it was asked for."""

    permanent = True


class AmbiguousName(PipelineError):
    """Several active pipelines share the name; the message lists them."""


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
        super().__init__(f"{message} See {link}" if link else message)
        self.run_id = run_id
        self.link = link


class RunFailed(RunError):
    """The run ended as Failed; the message carries the failed step, its error and the tail of its log."""


class RunCanceled(RunError):
    """Somebody cancelled the run in the workspace.

    Permanent, because a retry would start anew what a person stopped.
    """

    permanent = True


class RunTimedOut(RunError):
    """The run did not end before its deadline."""


class RunUnwatched(RunError):
    """The run could not be read within the retry budget; that says nothing about the run itself."""


class RunStillActive(RunError):
    """A run that has to end before another may be submitted has not ended in time."""


class ForeignRun(AzureMLError):
    """A run, or the submission of one, is another Airflow's: it is left alone."""

    permanent = True


class SubmissionUnsettled(AzureMLError):
    """Whether a submission was carried out is not known yet: no look-up was answered. A retry looks again."""


class SubmissionUnknown(AzureMLError):
    """Whether a submission was carried out cannot be established, so it is not repeated."""

    permanent = True


class ScheduleError(AzureMLError):
    """A native schedule that cannot be come to, or managed, as it was asked for."""

    permanent = True


class AmbiguousSchedule(ScheduleError):
    """Several schedules share the name; the message lists them."""


class ScheduleExists(ScheduleError):
    """There is such a schedule already, and it is not for us to change."""


class ScheduleStartedRun(ScheduleError):
    """A schedule that was created as Disabled has started a run; the message names the run."""


class ProvisioningFailed(ScheduleError):
    """The service could not set the schedule up; a retry writes it again."""

    permanent = False


class ProvisioningUnsettled(ScheduleError):
    """Whether the service has set the schedule up is not known yet; a retry looks on."""

    permanent = False
