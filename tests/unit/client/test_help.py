"""The addresses at the end of messages: once, in the right place, and nowhere in a quotation."""

from __future__ import annotations

import copy
import pickle

import pytest

from aml_provider.client.errors import AzureMLError, InvalidArgument, NotFound, RunFailed, RunUnwatched, ServiceError
from aml_provider.client.help import (
    ERRORS,
    SITE,
    address_of,
    anchor,
    sentence,
    text_of,
    with_address,
    without_addresses,
)

HERE = f"{ERRORS}#here"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("RunFailed", "run-failed"),
        ("NotFound", "not-found"),
        ("AzureMLError", "azure-ml-error"),
        ("SubmissionUnsettled", "submission-unsettled"),
    ],
)
def test_an_anchor_has_the_words_of_the_class(name, words):
    assert anchor(name) == words


def test_the_site_is_one_address():
    assert address_of(RunFailed) == f"{SITE}troubleshooting/errors.html#run-failed"


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("It failed.", f"It failed. Help: {HERE}"),
        ("x: is 7; use a mapping", f"x: is 7; use a mapping. Help: {HERE}"),
        ("x: is 'a'", f"x: is 'a'. Help: {HERE}"),
        ("failed [id=1]", f"failed [id=1]. Help: {HERE}"),
        ("did you mean 'a'?", f"did you mean 'a'? Help: {HERE}"),
        ("See https://ml.azure.com/runs/r?wsid=/a", f"See https://ml.azure.com/runs/r?wsid=/a Help: {HERE}"),
        ("One.\n  | log\nSee https://x/y", f"One.\n  | log\nSee https://x/y\nHelp: {HERE}"),
        ("One.\n  | log\n", f"One.\n  | log\nHelp: {HERE}"),
        ("", f"Help: {HERE}"),
        (f"It failed. Help: {ERRORS}#run-failed", f"It failed. Help: {ERRORS}#run-failed"),
    ],
)
def test_an_address_follows_the_message(text, whole):
    assert with_address(text, HERE) == whole
    assert with_address(whole, HERE) == whole


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("failed [id=1]", "failed [id=1]."),
        ("It failed.", "It failed."),
        ("did you mean 'a'?", "did you mean 'a'?"),
        ("See https://ml.azure.com/runs/r", "See https://ml.azure.com/runs/r"),
        ("", ""),
    ],
)
def test_a_sentence_has_one_end(text, ended):
    assert sentence(text) == ended
    assert sentence(ended) == ended


def test_quoted_addresses_are_removed_and_nothing_else():
    text = f"A: b. Help: {HERE} The run continues. (c. Help: {ERRORS}#run-failed) See {SITE}set-up/roles.html"
    assert without_addresses(text) == f"A: b. The run continues. (c.) See {SITE}set-up/roles.html"


def test_an_error_that_quotes_another_one_has_one_address():
    inner = NotFound("read run 'r'", status=404, message="gone", request_ids=["a=b"])
    outer = RunUnwatched(f"Run r could not be read: {inner} The run continues.", run_id="r", link="https://x/y")
    assert outer.text == (
        "Run r could not be read: read run 'r': the service answered 404: gone [a=b]. The run continues. See https://x/y"
    )
    assert str(outer) == f"{outer.text} Help: {address_of(RunUnwatched)}"
    assert str(outer).count(SITE) == 1
    assert text_of(outer) == text_of(RuntimeError(str(outer))) == outer.text


@pytest.mark.parametrize("same", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_copy_has_the_same_message(same):
    error = RunFailed("Run r failed.\n  | sig=abcdefgh\n", run_id="r", link="https://x/y", failed_steps=("a",))
    found = same(error)
    assert str(found) == str(error)
    assert str(found).endswith(f"\nHelp: {address_of(RunFailed)}")
    assert "abcdefgh" not in str(found)
    assert (type(found), found.text, found.failed_steps) == (RunFailed, error.text, ("a",))


def test_a_hint_is_added_before_the_address():
    error = NotFound("read it", status=404, message="gone").with_hint("Look again.")
    assert error.text.endswith("gone. Look again.")
    assert str(error) == f"{error.text} Help: {address_of(NotFound)}"


def test_a_class_of_another_project_has_the_address_of_its_base():
    class Mine(InvalidArgument):
        pass

    class MyOwn(AzureMLError):
        pass

    assert str(Mine("a", "b")).endswith(f"{ERRORS}#invalid-argument")
    assert str(MyOwn("a")).endswith(f"{ERRORS}#azure-ml-error")


def test_an_error_without_a_text_still_has_an_address():
    assert str(AzureMLError()) == f"Help: {address_of(AzureMLError)}"
    assert AzureMLError().text == ""


def test_the_text_is_what_python_shows_of_the_error():
    error = ServiceError("read it", status=500)
    assert repr(error) == f"ServiceError({error.text!r})"
