"""When a sensor is skipped: alike in all modes, and with its errors in the log."""

from __future__ import annotations

from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
)

try:
    from airflow.sdk.exceptions import TaskDeferralError
except ImportError:  # Airflow 2
    from airflow.exceptions import TaskDeferralError  # type: ignore[no-redef]

from aml_provider.client.errors import AzureMLError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.providers.common.compat.sdk import Context

S = TypeVar("S", bound="BaseSensorOperator")
P = ParamSpec("P")
T = TypeVar("T")


class PollingSensor(BaseSensorOperator):
    """Airflow's own sensor; but with ``never_fail`` it is also skipped, in all modes, when its time is up.

    Airflow skips it only if ``poke`` says so, and not in its own loop; Airflow 2 not after a deferral either.
    """

    def execute(self, context: Context) -> Any:
        """Poll until there is something, in Airflow's own loop."""
        with _never_failing(self):
            return _unguarded(BaseSensorOperator)(self, context)

    def execute_again(self, context: Context) -> Any:
        """Go on after a deferral, as :meth:`execute` does."""
        return _unguarded(type(self))(self, context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral, or end after one that nobody answered in time."""
        with _never_failing(self):
            return super().resume_execution(next_method, next_kwargs, context)


def _unguarded(kind: type[BaseSensorOperator]) -> Callable[..., Any]:
    """The class's ``execute`` without Airflow's guard.

    In Airflow 2 that takes a call by ``super()`` or from another method for one from outside: it warns, and refuses it
    with ``allow_nested_operators=False``.
    """
    method: Callable[..., Any] = kind.execute
    return getattr(method, "__wrapped__", method)


@contextmanager
def _never_failing(sensor: BaseSensorOperator) -> Iterator[None]:
    try:
        yield
    except (AirflowSensorTimeout, TaskDeferralError) as error:
        if sensor.never_fail:
            # In the words of soft_fail.
            raise AirflowSkipException(str(error)) from error
        raise


def errors_logged(poke: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Log what goes wrong in a sensor's ``poke`` before Airflow may turn it into a skip.

    With ``soft_fail`` or ``never_fail`` Airflow logs "Skipping due to …" and nothing of the error itself. Whether the
    task is skipped remains Airflow's decision: the error is raised unchanged. Every mode polls through ``poke``, so
    this is the one place.
    """

    @wraps(poke)
    def method(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return poke(self, *args, **kwargs)
        except AirflowSkipException:
            raise
        except (AirflowSensorTimeout, AirflowTaskTimeout) as timeout:
            # A skip is what the author wants then.
            if _may_be_hidden(self):
                self.log.info("%s", timeout)
            raise
        except Exception as error:
            if _may_be_hidden(self):
                known = isinstance(error, (AirflowException, AzureMLError))
                self.log.error(  # noqa: TRY400 - a traceback of what was expected says nothing
                    "The sensor failed, although %s may show the task as skipped: %s",
                    "soft_fail" if self.soft_fail else "never_fail",
                    error if known and str(error) else repr(error),
                    exc_info=None if known else error,
                )
            raise

    return method


def _may_be_hidden(sensor: Any) -> bool:
    return bool(sensor.soft_fail or sensor.never_fail)
