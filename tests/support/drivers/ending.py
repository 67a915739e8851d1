"""Runs a sensor to its end, on a worker and deferred."""

from __future__ import annotations

import json

import pytest
from support.drivers.watching import context_of, fire

from aml_provider.compat import TaskDeferred

MODES = {"poke": {}, "deferrable": {"deferrable": True}}
FLAGS = {"plain": {}, "soft_fail": {"soft_fail": True}, "never_fail": {"never_fail": True}}
modes = pytest.mark.parametrize("mode", MODES)


def end(task, meanwhile=lambda: None, deferrals=None):
    """Run a sensor to its end, each trigger from what Airflow stores of it; the result and the deferrals."""
    context, deferrals = context_of(), [] if deferrals is None else deferrals
    step = task.execute
    while True:
        try:
            return step(context), deferrals
        except TaskDeferred as deferral:
            deferrals.append(deferral)
            meanwhile()
            _, arguments = deferral.trigger.serialize()
            event = fire(type(deferral.trigger)(**json.loads(json.dumps(arguments))))
            kwargs = {**(deferral.kwargs or {}), "event": event}

            def step(context, method=deferral.method_name, kwargs=kwargs):
                return task.resume_execution(method, kwargs, context)
