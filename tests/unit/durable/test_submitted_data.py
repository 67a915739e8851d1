"""The data of a submission, as text in its record."""

from __future__ import annotations

import pytest

from aml_provider.client.models import DataPath
from aml_provider.client.specs.run import RunRequest
from aml_provider.durable.submitted_data import SubmittedData


def data_of(**arguments):
    return SubmittedData.of(RunRequest.of(experiment_name="exp", **arguments))


def test_it_reads_what_it_wrote():
    data = data_of(
        data_paths={"a": "store/in/ü.csv", "b": DataPath("other")}, datasets={"c": "5aa1"}, parameters={"d": "secret"}
    )
    assert data == ((DataPath("store", "in/ü.csv"), DataPath("other", "")), ("5aa1",))
    assert SubmittedData.read(data.to_text()) == data
    assert "secret" not in data.to_text()


def test_a_run_without_data_is_not_a_run_whose_data_is_unknown():
    nothing = data_of()
    assert nothing == ((), ())
    assert SubmittedData.read(nothing.to_text()) == nothing
    assert SubmittedData.read(None) is None


def test_a_record_does_not_grow_without_limit():
    assert data_of(data_paths={f"p{number}": f"store/{number:0100}" for number in range(20)}).to_text() is None
    assert len(data_of(data_paths={"p": f"store/{'x' * 1900}"}).to_text()) <= 2000


def test_a_signature_in_a_path_is_not_stored():
    assert "pl4nted" not in data_of(data_paths={"p": "store/a.csv?sv=2024-01-01&sig=pl4ntedSignature%3D"}).to_text()


def test_a_folder_that_is_called_like_a_secret_is_stored():
    assert data_of(data_paths={"p": "store/customer_key=7/a.csv"}).data_paths == (
        DataPath("store", "customer_key=7/a.csv"),
    )


@pytest.mark.parametrize(
    "text", ["", "null", "{}", "[]", "[[], [], []]", "[[1], []]", '[[["s", 1]], []]', "[[], [1]]", '[[["s"]], [], 1]']
)
def test_a_damaged_text_counts_as_unknown(text):
    assert SubmittedData.read(text) is None
