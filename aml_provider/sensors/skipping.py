"""Errors of a sensor's poll are in the log also where Airflow hides them behind a skip."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)

from aml_provider.client.errors import AzureMLError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import BaseSensorOperator

S = TypeVar("S", bound="BaseSensorOperator")
P = ParamSpec("P")
T = TypeVar("T")


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
