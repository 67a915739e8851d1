"""Lets a Python process be on a machine whose clock is off: Python imports this from ``PYTHONPATH`` when it starts.

``CLOCK_OFF_BY`` says by how many seconds, ``CLOCK_OFF_IN`` where: in ``all`` of it, or in its ``children`` only. Then
an executor's workers are other machines than its scheduler. What asks the kernel past Python is not covered; Airflow
and this package do not.
"""

import ctypes
import datetime as dt
import gc
import os
import time

_OFF_BY = float(os.environ.get("CLOCK_OFF_BY", "0"))
_time, _time_ns = time.time, time.time_ns
_on = os.environ.get("CLOCK_OFF_IN") == "all"


def _off_by():
    return _OFF_BY if _on else 0.0


def _switch_on():
    global _on  # noqa: PLW0603 - it is the process's
    _on = True


def _now(cls, tz=None):
    return cls.fromtimestamp(time.time(), tz)


def _utcnow(cls):
    return cls.fromtimestamp(time.time(), dt.UTC).replace(tzinfo=None)


if _OFF_BY:
    time.time = lambda: _time() + _off_by()
    time.time_ns = lambda: _time_ns() + int(_off_by() * 1e9)
    # In the class itself: C code, such as msgspec's, knows no other one, not even a subclass.
    (_methods,) = gc.get_referents(dt.datetime.__dict__)
    _methods |= {"now": classmethod(_now), "utcnow": classmethod(_utcnow), "today": classmethod(_now)}
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(dt.datetime))
    os.register_at_fork(after_in_child=_switch_on)
