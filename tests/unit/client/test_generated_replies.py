"""A hundred thousand replies that no service should send: each is read, or refused with an error of ours.

They grow out of real ones: keys are dropped or written otherwise, values change their types, texts are cut, whole
replies are exchanged, or made of nothing. What fails prints the seed; ``FUZZ_SEED`` runs it again.
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

from support.drivers.driving import reply, session
from support.samples.call_samples import any_calls

from aml_provider.client.calls.call import Call
from aml_provider.client.errors import AzureMLError, MalformedReply
from aml_provider.client.http.messages import Request, flow_of

CAPTURES = Path(__file__).parents[2]
REPLIES = 100_000

# Replies of operations that no capture has.
MORE = [
    {"PipelineEntity": {"Id": "p", "Name": "n"}, "LastRunId": "r", "LastRunStatus": 3, "TotalRuns": 5},
    {
        "Parameters": [{"Name": "a", "Type": 0, "DefaultValue": None, "IsOptional": False}],
        "DataPathParameters": [{"Name": "d", "DefaultValue": {"DataStoreName": "s", "RelativePath": "p"}}],
        "DataPathParameterList": [{"Name": "e"}],
    },
    {"node": {"StatusCode": "Running", "RunId": "s", "StartTime": "2026-11-22T11:18:28.4936870Z"}},
    {
        "out": {
            "PhysicalSizeInBytes": 5,
            "DataLocation": {
                "Uri": "https://a/b?sig=x",
                "DataReference": {"Type": 1, "AzureBlobReference": {"Container": "c", "RelativePath": "p"}},
            },
        }
    },
    {"experimentId": "e", "name": "n", "createdUtc": "2026-11-22T11:18:28Z", "archivedTime": None, "tags": {"k": None}},
    {"value": [{"contentUri": "https://a/b?sig=x", "path": "user_logs/a.txt"}], "nextLink": "https://a?skipToken=t"},
    {"contentUri": "https://a/b?sig=x", "path": "user_logs/a.txt"},
    {"Entity": [{"Id": "p", "Name": "n"}], "ContinuationToken": "t"},
    {"Error": {"Code": "UserError", "Message": "text", "Details": []}, "Correlation": {"operation": "a"}},
    {"error": {"code": "UserError", "message": "text", "details": []}, "correlation": {"request": "b"}},
    {"value": [{"metricKey": {"name": "loss"}, "columns": {"loss": "double"}}], "continuationToken": None},
    {"value": [{"createdUtc": "2026-11-22T11:18:28Z", "step": 1, "data": {"loss": 0.5}}], "continuationToken": None},
    {
        "value": [{"actions": ["*"], "notActions": ["a/*/write"], "dataActions": []}],
        "nextLink": "https://a?$skiptoken=t",
    },
    {"scheduleActionType": "CreateJob", "submissionId": "job"},
    "Running",
    3,
]
ODD = [
    None, True, False, 0, -1, 7, 3.5, 1e308, float("inf"), float("nan"), 10**30, "", " ", "x", "0", "٣", "9" * 5000,
    "\ud800", "null", "2026-13-45T99:99:99Z", "/Date(99999999999999999)/", "Mon, 99 Foo 2026", [], {}, [None], [[]],
    {"": None}, {"Id": {}}, [{"Id": "x"}], {"value": {}},
]  # fmt: skip
PAGES = [
    b"", b" ", b"null", b"<html><body>Sign in</body></html>", b"\xff\xfe\x00", b"{", b"[", b'"', b"[" * 50_000, b"NaN",
    b"\xef\xbb\xbf{}", b"{}{}", b'{"Id": "x"', b"true", b"0", b'{"a":' * 2000,
]  # fmt: skip


def replies():
    """What the services really answer, or nearly so."""
    found = [*MORE]
    for path in sorted(CAPTURES.glob("captures*/*.json")):
        exchanges = json.loads(path.read_text()).get("exchanges", ())
        answers = [item["response"]["json"] for item in exchanges if not item["request"]["path"].endswith("/DataTypes")]
        # A long one only costs time: there are short ones of each kind.
        found += [answer for answer in answers if len(json.dumps(answer)) < 4000]
    return found


class Mutator:
    """Makes replies out of replies."""

    def __init__(self, chance):
        self.chance = chance
        self.seeds = replies()

    def body(self, base):
        """A reply's bytes."""
        chance = self.chance
        draw = chance.random()
        if draw < 0.03:
            return chance.choice(PAGES)
        wire = base if draw < 0.8 else chance.choice(self.seeds)
        for _ in range(chance.choice((0, 1, 1, 2, 4, 9))):
            wire = self.mutated(wire, chance.choice((1, 2, 3, 4)))
        text = json.dumps(wire).encode()
        if draw < 0.08:
            text = text[: chance.randrange(len(text) + 1)]
        elif draw < 0.1:
            place = chance.randrange(len(text) + 1)
            text = text[:place] + chance.randbytes(chance.randrange(4)) + text[place:]
        return text

    def mutated(self, wire, depth):
        """A copy with one thing changed, so many levels down at most."""
        chance = self.chance
        if depth == 0 or not wire or not isinstance(wire, (dict, list)):
            return chance.choice(ODD)
        if isinstance(wire, list):
            place = chance.randrange(len(wire))
            changed = list(wire)
            if chance.random() < 0.2:
                changed.insert(place, chance.choice(ODD))
            else:
                changed[place] = self.mutated(changed[place], depth - 1)
            return changed
        key = chance.choice(list(wire))
        changed = dict(wire)
        draw = chance.random()
        if draw < 0.2:
            del changed[key]
        elif draw < 0.35:
            changed[chance.choice((key.lower(), key.upper(), key.swapcase(), key[:1].swapcase() + key[1:]))] = (
                changed.pop(key)
            )
        elif draw < 0.5:
            changed[key] = None
        elif draw < 0.55:
            changed[chance.choice(("unknown", "Unknown", ""))] = chance.choice(ODD)
        else:
            changed[key] = self.mutated(changed[key], depth - 1)
        return changed


def read(rules, call, answers):
    """What comes out of a call."""
    machine = rules.run(flow_of(call))
    try:
        step = next(machine)
        for answer in answers:
            assert isinstance(step, Request)
            step = machine.send(answer)
    except StopIteration as stop:
        return stop.value
    except AzureMLError as error:
        return error
    finally:
        machine.close()
    return "there are more pages"


def fitting(calls, seeds):
    """For each call the replies that it can read, and what it makes of nothing: so that mutations start close by."""
    rules = session(budget=0.0)
    found = {}
    for call in calls:
        bodies = [(wire, reply(body=json.dumps(wire).encode())) for wire in seeds]
        found[call.operation] = [
            wire for wire, answer in bodies if not isinstance(read(rules, call, [answer]), AzureMLError)
        ]
    return found


def test_every_reply_is_read_or_refused_with_an_error_of_ours():
    seed = int(os.environ.get("FUZZ_SEED") or time.time_ns() % 2**32)
    chance = random.Random(seed)
    mutator = Mutator(chance)
    calls = any_calls()
    close_by = fitting(calls, mutator.seeds)
    rules = session(budget=0.0)
    outcomes = {}
    for number in range(REPLIES):
        call = calls[number % len(calls)]
        base = chance.choice(close_by[call.operation] or mutator.seeds)
        status = (
            200 if chance.random() < 0.9 else chance.choice((201, 204, 302, 400, 401, 403, 404, 409, 429, 500, 501))
        )
        answers = [reply(status, mutator.body(base)) for _ in range(1 if call.page_key is None else 3)]
        try:
            result = read(rules, call, answers)
            shown = repr(result)
        except Exception as error:
            bodies = [answer.body[:2000] for answer in answers]
            raise AssertionError(f"FUZZ_SEED={seed}, reply {number}: {call.operation}: {status} {bodies}") from error
        assert isinstance(shown, str)
        kind = "refused" if isinstance(result, AzureMLError) else "read"
        outcomes.setdefault(call.operation, set()).add(kind)
        if status == 200 and isinstance(result, AzureMLError):
            assert type(result) is MalformedReply
    # Neither a mutator that only breaks, nor one that changes nothing.
    assert {name for name, kinds in outcomes.items() if kinds != {"read", "refused"}} == set()
    assert len(outcomes) == len(calls)


def test_every_call_is_among_them():
    assert {type(call) for call in any_calls()} == {Call}
    assert len(any_calls()) >= 60
