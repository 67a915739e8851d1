"""Lets a Python process be on a machine whose clock is off: Python imports this from ``PYTHONPATH`` when it starts.

``CLOCK_OFF_BY`` says by how many seconds, ``CLOCK_OFF_IN`` where: in ``all`` of it, or in its ``children`` only. Then
an executor's workers are other machines than its scheduler. What asks the kernel past Python is not covered; Airflow
and this package do not.
"""

import copyreg
import datetime as dt
import os
import time

OFF_BY = float(os.environ.get("CLOCK_OFF_BY", "0"))
_on = os.environ.get("CLOCK_OFF_IN") == "all"
_time, _time_ns, _datetime = time.time, time.time_ns, dt.datetime


def _off_by():
    return OFF_BY if _on else 0.0


def _switch_on():
    global _on  # noqa: PLW0603 - it is the process's
    _on = True


class _Kind(type(_datetime)):
    """What C code makes is of the original class, and a datetime all the same; of a subclass it is not."""

    def __instancecheck__(cls, instance):
        return isinstance(instance, _datetime) if cls is _Datetime else super().__instancecheck__(instance)

    def __subclasscheck__(cls, other):
        return issubclass(other, _datetime) if cls is _Datetime else super().__subclasscheck__(other)


class _Datetime(_datetime, metaclass=_Kind):
    def __new__(cls, *args, **kwargs):
        return _datetime.__new__(_datetime if cls is _Datetime else cls, *args, **kwargs)

    @classmethod
    def now(cls, tz=None):
        real = _datetime if cls is _Datetime else cls
        return real.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls):
        return cls.now(dt.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls):
        return cls.now()


def _restored(text):
    return _datetime.fromisoformat(text)


if OFF_BY:
    # The original class is not found under its name any more.
    copyreg.pickle(_datetime, lambda moment: (_restored, (moment.isoformat(),)))
    time.time = lambda: _time() + _off_by()
    time.time_ns = lambda: _time_ns() + int(_off_by() * 1e9)
    dt.datetime = _Datetime
    os.register_at_fork(after_in_child=_switch_on)
