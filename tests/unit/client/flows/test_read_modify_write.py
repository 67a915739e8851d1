"""A write whose fate is not known is read before it is repeated, for as long as it may still take effect."""

from __future__ import annotations

import pytest

from aml_provider.client.errors import Conflict, MalformedReply, ReplyLost, ServerFault, Throttled
from aml_provider.client.flows.read_modify_write import rewrite
from aml_provider.client.http.messages import Pause

WANTED = {"value": "new"}
MAY_ARRIVE = [
    ReplyLost("put: lost"),
    MalformedReply("put", status=202),
    ServerFault("put", status=504),
    ServerFault("put", status=408),
]
HAS_NOT_ARRIVED = [ServerFault("put", status=503), Conflict("put", status=409), Throttled("put", status=429)]


def carry_out(first_error, *, takes):
    """Rewrite an entity whose first write fails and takes effect after so many seconds; None: never."""
    state = {"value": "old"}
    time, writes = 0.0, []

    def read():
        arrives = takes is not None and writes and time >= writes[0] + takes
        return WANTED if arrives or len(writes) > 1 else state
        yield

    flow = rewrite(read, lambda entity: None if entity == WANTED else WANTED, lambda wire: wire)
    step = next(flow)
    try:
        while True:
            if isinstance(step, Pause):
                time += step.seconds
                step = flow.send(None)
            else:
                writes.append(time)
                step = flow.throw(first_error) if len(writes) == 1 else flow.send(step)
    except StopIteration as stop:
        return stop.value, writes


@pytest.mark.parametrize("error", MAY_ARRIVE, ids=str)
@pytest.mark.parametrize("takes", [0.0, 4.0, 50.0])
def test_a_write_that_takes_effect_late_is_not_repeated(error, takes):
    assert carry_out(error, takes=takes) == ((WANTED, True), [0.0])


@pytest.mark.parametrize("error", MAY_ARRIVE, ids=str)
def test_a_write_that_has_no_effect_is_repeated_when_it_can_no_longer_have_one(error):
    result, writes = carry_out(error, takes=None)
    assert result == (WANTED, True)
    assert writes[1] >= 60.0


@pytest.mark.parametrize("error", HAS_NOT_ARRIVED, ids=str)
def test_a_write_that_was_refused_is_repeated_soon(error):
    assert carry_out(error, takes=None) == ((WANTED, True), [0.0, 1.0])
