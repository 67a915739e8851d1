"""Hints for names and ids that are not found."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.models.service import carry_out

from aml_provider.client import calls
from aml_provider.client.errors import NotFound, PermissionDenied, ServerFault
from aml_provider.client.flows.finding import DATASTORE, PIPELINE, advice, advised, similar

STORES = "GET /datastores"


class Thing(NamedTuple):
    id: str
    name: str


class Store(NamedTuple):
    name: str


THINGS = [
    Thing("0f9619ff-8b86-d011-b42d-00cf4fc964ff", "score-files"),
    Thing("7d4c1f2a-3b5e-4c6d-8e9f-0a1b2c3d4e5f", "train"),
]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("score-file", "did you mean 'score-files'?"),
        ("SCORE-FILES", "did you mean 'score-files'?"),
        ("\uff53\uff43\uff4f\uff52\uff45\uff0d\uff46\uff49\uff4c\uff45\uff53", "did you mean 'score-files'?"),
        ("0f9619ff-8b86-d011-b42d-00cf4fc964ff", "that is the id of published pipeline 'score-files'"),
        ("0F9619FF-8B86-D011-B42D-00CF4FC964FF", "give it as pipeline_id"),
        ("train", "that is the name of published pipeline 7d4c1f2a-3b5e-4c6d-8e9f-0a1b2c3d4e5f: give that id"),
        ("7d4c1f2a-3b5e-4c6d-8e9f-0a1b2c3d4e5e", "did you mean '7d4c1f2a-3b5e-4c6d-8e9f-0a1b2c3d4e5f'?"),
        ("ffffffff-0000-4c6d-1111-222222222222", "nothing"),
    ],
)
def test_the_hint_helps(wanted, said):
    assert said in advice(PIPELINE, wanted, THINGS, otherwise="nothing")


def test_a_name_that_hundreds_have_makes_no_endless_message():
    many = [Thing(f"{number:036}", "train") for number in range(500)]
    said = advice(PIPELINE, "train", many)
    assert said.startswith("that is the name of 500 published pipelines (")
    assert "and 490 more" in said
    assert len(said) < 1000


@given(st.text(), st.lists(st.text(), max_size=8))
def test_only_what_there_is_is_suggested(wanted, names):
    assert set(similar(wanted, names)) <= set(names)
    assert advice(DATASTORE, wanted, [Store(name) for name in names], otherwise="nothing")


@pytest.mark.parametrize(("there", "advice"), [("aa", " Did you mean 'aa'?"), ("zzz", "")])
def test_what_the_error_says_itself_stays(there, advice):
    missing = NotFound("read", status=404, message="No such store.", request_ids=["id=1"], hint="Looked for in x.")
    answers = {f"{STORES}/a": missing, STORES: (Store(there),)}
    with pytest.raises(NotFound) as caught:
        carry_out(advised(calls.get_datastore("a"), DATASTORE, "a"), answers)
    said = f"read: the service answered 404: No such store. Looked for in x.{advice} [id=1]"
    assert caught.value.text == said


@pytest.mark.parametrize("failure", [PermissionDenied("x", status=403), ServerFault("x", status=500)])
def test_without_a_list_the_error_is_raised_anyway(failure):
    answers = {f"{STORES}/a": NotFound("x", status=404), STORES: failure}
    with pytest.raises(NotFound):
        carry_out(advised(calls.get_datastore("a"), DATASTORE, "a"), answers)
