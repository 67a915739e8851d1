"""What an author may write as a run's request, what it becomes on the wire, and what is refused."""

from __future__ import annotations

import enum
import json
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aml_provider.client.entities import Parameter, PipelineInterface
from aml_provider.client.errors import InvalidArgument, InvalidParameters
from aml_provider.client.models import DataPath
from aml_provider.client.specs.run import SUBMITTED_BY, RunRequest, as_data_path
from aml_provider.client.specs.target import PipelineReference

NAMES = st.text(min_size=1, max_size=5)
VALUES = st.one_of(st.text(), st.integers(), st.floats(), st.booleans())
CHANGE = {
    "datastore": "store",
    "container_url": "https://account.blob.core.windows.net/c",
    "path": "in/a.csv",
    "name": "a.csv",
    "etag": "0x1",
    "last_modified": "2026-11-22T11:18:28+00:00",
    "size": 5,
    "change": "added",
}


class Color(str, enum.Enum):  # noqa: UP042 - whose str() is not its value
    RED = "red"


def request(**changes):
    return RunRequest.of(**{"experiment_name": "x", **changes})


def wire(asked, *, own_tags=None, notification=True):
    return asked.to_wire(own_tags=own_tags or {}, notification=notification)


def refused(**changes):
    with pytest.raises(InvalidArgument) as caught:
        request(**changes)
    return caught.value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        (-5, "-5"),
        (0.5, "0.5"),
        (1.0, "1.0"),
        (1e-7, "1e-07"),
        (1e22, "1e+22"),
        (10**30, "1" + "0" * 30),
        (True, "True"),
        (False, "False"),
        ("", ""),
        ("True", "True"),
        (" a\nb ", " a\nb "),
        ("{{ 1 }}", "{{ 1 }}"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (Color.RED, "red"),
    ],
)
def test_values_travel_in_the_sdks_text_form(value, text):
    assert wire(request(parameters={"p": value}))["ParameterAssignments"] == {"p": text}


@given(st.dictionaries(NAMES, VALUES))
def test_every_value_travels_as_pythons_text(values):
    sent = wire(request(parameters=values))["ParameterAssignments"]
    assert sent == {name: str(value) for name, value in values.items()}
    assert json.loads(json.dumps(sent)) == sent


@pytest.mark.parametrize("value", [None, [], {}, (), b"x", object(), {"a": 1}, [1]])
def test_what_has_no_text_form_is_refused_by_name(value):
    for field in ("parameters", "tags", "datasets"):
        error = refused(**{field: {"p": value}})
        assert error.argument == f"{field}['p']"
        assert (type(value).__name__ if value is not None else "is None") in str(error)


@pytest.mark.parametrize("field", ["parameters", "data_paths", "datasets", "tags"])
class TestMappings:
    @pytest.mark.parametrize("value", ["text", ["a"], [("a", "b")], 5, True, {"a"}])
    def test_what_is_no_mapping_is_refused_by_name(self, field, value):
        error = refused(**{field: value})
        assert error.argument == field
        assert "mapping" in str(error)

    @pytest.mark.parametrize(
        "name", [1, None, "", ("a",), True, 10**5000], ids=lambda name: repr(name) if name != 10**5000 else "long"
    )
    def test_a_name_is_text(self, field, name):
        assert refused(**{field: {name: "store/a"}}).argument == field

    @pytest.mark.parametrize("value", [None, {}])
    def test_an_empty_mapping_is_left_out_of_the_request(self, field, value):
        assert wire(request(**{field: value})) == wire(request())


@pytest.mark.parametrize("name", ["x", "X1", "a-b_c", "0", "a" * 255])
def test_a_valid_experiment_name_is_sent_as_it_is(name):
    assert wire(RunRequest.of(experiment_name=name))["ExperimentName"] == name


@pytest.mark.parametrize("name", ["", "-a", "_a", "a b", "a.b", "ä", "a/b", "a" * 256, "a\n", None, 5])
def test_an_invalid_experiment_name_is_refused(name):
    assert refused(experiment_name=name).argument == "experiment_name"


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (DataPath("store", "in/a.csv"), DataPath("store", "in/a.csv")),
        (DataPath("store"), DataPath("store", "")),
        ({"datastore": "store", "path": "in/a.csv"}, DataPath("store", "in/a.csv")),
        ({"datastore": "store"}, DataPath("store", "")),
        (CHANGE, DataPath("store", "in/a.csv")),
        ("store/in/a.csv", DataPath("store", "in/a.csv")),
        ("store/", DataPath("store", "")),
        ("store//in", DataPath("store", "in")),
        (["store", "in/a.csv"], DataPath("store", "in/a.csv")),
        (("store", "in/a.csv"), DataPath("store", "in/a.csv")),
        (("store", "/in/a.csv"), DataPath("store", "in/a.csv")),
        (DataPath("store", "/in/"), DataPath("store", "in/")),
        (DataPath("store", "in/{{ 1+1 }} ü.csv"), DataPath("store", "in/{{ 1+1 }} ü.csv")),
    ],
)
def test_a_data_path_in_each_of_its_forms(value, path):
    assert request(data_paths={"input": value}).data_paths == {"input": path}


def test_a_data_path_on_the_wire_has_no_path_where_it_is_empty():
    assert wire(request(data_paths={"a": "store/x", "b": "store/"}))["DataPathAssignments"] == {
        "a": {"DataStoreName": "store", "RelativePath": "x"},
        "b": {"DataStoreName": "store"},
    }


@pytest.mark.parametrize(
    "value",
    [{**CHANGE, "datastore": None}, DataPath(None, "a"), DataPath("", "a"), "", "/a", [None, "a"], {"datastore": ""}],
)
def test_a_data_path_without_a_datastore_says_so(value):
    error = refused(data_paths={"input": value})
    assert error.argument == "data_paths['input']"
    assert "datastore" in error.problem


def test_a_change_found_by_address_says_what_to_give_the_sensor():
    assert "datastore= instead of container_url=" in str(refused(data_paths={"i": {**CHANGE, "datastore": None}}))


@pytest.mark.parametrize("value", [None, 5, True, [], ["a"], ["a", "b", "c"], {"path": "a"}, {}, object()])
def test_what_is_no_data_path_is_refused_by_name(value):
    error = refused(data_paths={"input": value})
    assert error.argument == "data_paths['input']"


@pytest.mark.parametrize("value", [DataPath("store", None), DataPath("store", 5), {"datastore": "store", "path": None}])
def test_a_path_is_text(value):
    assert "path" in refused(data_paths={"input": value}).problem


def test_a_folder_whose_datastore_was_forgotten_is_refused():
    error = refused(data_paths={"input": "incoming"})
    assert error.text == "data_paths['input']: is 'incoming'; write 'store/path', and 'incoming/' for a whole datastore"


def test_a_backslash_is_refused():
    assert "backslash" in str(refused(data_paths={"input": "store/a\\b"}))


@pytest.mark.parametrize(
    "value",
    [
        "https://account.blob.core.windows.net/c/a.csv",
        "azureml://datastores/store/paths/a",
        "wasbs://c@account/a",
        ["store/a", "store/b"],
        "my store/a",
        DataPath("a:b", ""),
    ],
)
def test_an_address_is_no_data_path(value):
    """Silently read as a datastore named ``https:``, it would fail far from here."""
    error = refused(data_paths={"input": value})
    assert error.argument == "data_paths['input']"
    assert "datastore" in str(error)


@given(st.text())
def test_any_text_is_a_data_path_or_refused_by_name(text):
    try:
        store, path = as_data_path("data_paths['input']", text)
    except InvalidArgument as error:
        assert error.argument == "data_paths['input']"  # noqa: PT017 - most texts are refused
    else:
        assert store
        assert not path.startswith("/")
        assert text.startswith(store)
        assert text.endswith(path)


def test_datasets_travel_by_id():
    assert wire(request(datasets={"d": "id-1"}))["DataSetDefinitionValueAssignments"] == {
        "d": {"SavedDataSetReference": {"Id": "id-1"}}
    }


def test_keys_are_in_tags_and_properties_beside_the_authors_own():
    sent = wire(request(tags={"team": "ml"}), own_tags={"airflow.key": "k"})
    assert sent["tags"] == {"team": "ml", "airflow.key": "k"}
    assert sent["Properties"] == {"airflow.key": "k"}


@pytest.mark.parametrize("name", ["airflow.cancel", "airflow.key", "airflow."])
def test_an_author_cannot_write_our_marks(name):
    """A run that carries ``airflow.cancel`` from the start would never be taken over by a retry."""
    assert refused(tags={name: "x"}).argument == f"tags[{name!r}]"


@pytest.mark.parametrize(("description", "sent"), [(None, "x"), ("", "x"), ("nightly", "nightly"), (5, "5")], ids=repr)
def test_a_description_or_the_experiments_name(description, sent):
    assert wire(request(description=description))["Description"] == sent


TASK = {"airflow.dag_id": "d", "airflow.task_id": "t", "airflow.map_index": "-1"}


@pytest.mark.parametrize(
    ("own_tags", "sent"),
    [
        (TASK, "Submitted by DAG d, task t"),
        ({**TASK, "airflow.map_index": "3"}, "Submitted by DAG d, task t [3]"),
        ({SUBMITTED_BY: "the command line"}, "Submitted by the command line"),
        ({"airflow.key": "k"}, "x"),
    ],
)
def test_without_a_description_the_submitter_is_named(own_tags, sent):
    assert wire(request(), own_tags=own_tags)["Description"] == sent
    assert wire(request(description="nightly"), own_tags=own_tags)["Description"] == "nightly"


def test_a_description_is_text():
    assert refused(description=["a"]).argument == "description"


@pytest.mark.parametrize("value", [True, False])
def test_continuing_is_sent_when_it_was_said(value):
    assert wire(request(continue_on_step_failure=value))["ContinueRunOnStepFailure"] is value
    assert "ContinueRunOnStepFailure" not in wire(request())


def test_only_pipelines_take_the_notification():
    assert wire(request())["EnableNotification"] is False
    assert "EnableNotification" not in wire(request(), notification=False)


class TestFingerprint:
    BASE: ClassVar = {
        "parameters": {"a": 1, "b": 2},
        "data_paths": {"i": "store/x"},
        "datasets": {"d": "id"},
        "tags": {"t": "1"},
        "description": "text",
        "continue_on_step_failure": None,
    }

    def test_sixteen_hexadecimal_digits(self):
        text = request(**self.BASE).fingerprint("pipeline/p")
        assert len(text) == 16
        int(text, 16)

    @pytest.mark.parametrize(
        "change",
        [
            {"experiment_name": "y"},
            {"parameters": {"a": 1}},
            {"parameters": {"a": 1, "b": 3}},
            {"parameters": {"a": 1, "c": 2}},
            {"parameters": {"a": 2, "b": 1}},
            {"data_paths": {"i": "store/y"}},
            {"data_paths": {"i": "other/x"}},
            {"data_paths": {"j": "store/x"}},
            {"data_paths": {}},
            {"datasets": {"d": "other"}},
            {"tags": {"t": "2"}},
            {"tags": {}},
            {"description": "other"},
            {"description": None},
            {"continue_on_step_failure": True},
            {"continue_on_step_failure": False},
            {"compute": "cpu"},
        ],
        ids=repr,
    )
    def test_differs_when_the_request_does(self, change):
        base = request(**self.BASE).fingerprint("pipeline/p")
        assert request(**{**self.BASE, **change}).fingerprint("pipeline/p") != base

    def test_differs_by_target(self):
        assert request().fingerprint("pipeline/p") != request().fingerprint("pipeline/q")

    @pytest.mark.parametrize(
        ("reference", "fingerprint"),
        [
            (PipelineReference(pipeline_id="p-1"), "b4eaab2c97e2b844"),
            (PipelineReference(pipeline_name="train"), "4c1ded44377c15e0"),
            (PipelineReference(endpoint_id="e-1"), "d5b3ac3a9ee9ea60"),
            (PipelineReference(endpoint_name="door", endpoint_version="7"), "77035f67c10140b5"),
        ],
    )
    def test_is_the_one_that_stored_records_hold(self, reference, fingerprint):
        """Another text would make a retry after an upgrade cancel its run and submit a second one."""
        asked = request(
            experiment_name="exp",
            parameters={"a": 1, "b": "x"},
            data_paths={"input": "store/in"},
            tags={"team": "ml"},
            description="d",
            continue_on_step_failure=True,
        )
        assert asked.fingerprint(f"{reference.check().to_text()}/None") == fingerprint

    @given(st.dictionaries(NAMES, VALUES), st.randoms())
    def test_does_not_depend_on_order(self, values, random):
        items = list(values.items())
        random.shuffle(items)
        assert request(parameters=dict(items)).fingerprint("t") == request(parameters=values).fingerprint("t")

    @given(st.dictionaries(NAMES, st.text(), max_size=3), st.dictionaries(NAMES, st.text(), max_size=3))
    def test_is_equal_only_for_equal_requests(self, one, other):
        assert (request(parameters=one).fingerprint("t") == request(parameters=other).fingerprint("t")) is (
            one == other
        )

    def test_the_same_in_another_form_is_the_same(self):
        """XCom turns a named tuple into a list and may turn a number into text: the retry must find its own run."""
        assert request(data_paths={"i": DataPath("s", "x")}, parameters={"a": 5}).fingerprint("t") == request(
            data_paths={"i": ["s", "x"]}, parameters={"a": "5"}
        ).fingerprint("t")


def interface(**types):
    return PipelineInterface(
        parameters={name: Parameter(name, kind, required=False) for name, kind in types.items()},
        data_paths=frozenset({"input"}),
        datasets=frozenset({"data"}),
    )


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        ("Int", 5, True),
        ("Int", "5", True),
        ("Int", "-5", True),
        ("Int", " 5 ", True),
        ("Int", "5.0", False),
        ("Int", 5.0, False),
        ("Int", True, False),
        ("Int", "", False),
        ("Int", "1_000", False),
        ("Int", "٣", False),
        ("Int", "0x10", False),
        ("Int", "five", False),
        ("Double", 0.5, True),
        ("Double", 5, True),
        ("Double", "1e-07", True),
        ("Double", ".5", True),
        ("Double", "5.", True),
        ("Double", "-1E+5", True),
        ("Double", float("nan"), True),
        ("Double", float("-inf"), True),
        ("Double", "Infinity", True),
        ("Double", "1_0.5", False),
        ("Double", "0,5", False),
        ("Double", "e5", False),
        ("Double", ".", False),
        ("Double", "", False),
        ("Double", True, False),
        ("Bool", True, True),
        ("Bool", "false", True),
        ("Bool", "TRUE", True),
        ("Bool", 1, False),
        ("Bool", "yes", False),
        ("Bool", "", False),
        ("String", "", True),
        ("String", 5, True),
        ("Undefined", "anything", True),
        ("SomethingNew", "anything", True),
    ],
)
def test_values_are_compared_with_the_types_of_the_interface(kind, value, fits):
    asked = request(parameters={"p": value})
    if fits:
        asked.check(interface(p=kind), "pipeline")
    else:
        with pytest.raises(InvalidParameters, match=f"its type is {kind}"):
            asked.check(interface(p=kind), "pipeline")


@given(st.one_of(st.integers(), st.floats(), st.booleans()))
def test_a_value_fits_its_own_type(value):
    kind = {bool: "Bool", int: "Int", float: "Double"}[type(value)]
    request(parameters={"p": value}).check(interface(p=kind), "pipeline")


def test_an_unknown_name_comes_with_the_names_that_there_are():
    asked = request(parameters={"paramter": 1}, data_paths={"inpt": "store/a"}, datasets={"dat": "id"})
    with pytest.raises(InvalidParameters) as caught:
        asked.check(interface(parameter="Int", other="String"), "published pipeline 'train' (p-1)")
    message = str(caught.value)
    assert message.startswith("published pipeline 'train' (p-1): ")
    for part in (
        "no parameter 'paramter'",
        "no data path 'inpt'",
        "no dataset 'dat'",
        "other (String), parameter (Int)",
        "data paths: input",
        "datasets: data",
        "Nothing was submitted",
    ):
        assert part in message
    assert caught.value.permanent


def test_everything_wrong_is_told_at_once():
    with pytest.raises(InvalidParameters) as caught:
        request(parameters={"a": "x", "b": "y", "c": 1}).check(interface(a="Int", b="Bool"), "p")
    assert str(caught.value).count(";") >= 2


def test_a_parameter_without_a_default_must_be_given():
    strict = PipelineInterface({"p": Parameter("p", "String", required=True)}, frozenset(), frozenset())
    request(parameters={"p": ""}).check(strict, "pipeline")
    with pytest.raises(InvalidParameters, match="'p' has no default and is not given"):
        request().check(strict, "pipeline")


def test_a_parameter_given_in_the_wrong_place_is_told():
    with pytest.raises(InvalidParameters, match="no parameter 'input'"):
        request(parameters={"input": "store/a"}).check(interface(), "pipeline")
    with pytest.raises(InvalidParameters, match="no data path 'p'"):
        request(data_paths={"p": "store/a"}).check(interface(p="String"), "pipeline")


def test_without_parameters_the_message_says_none():
    with pytest.raises(InvalidParameters, match="parameters: none; data paths: none; datasets: none"):
        request(parameters={"p": 1}).check(PipelineInterface({}, frozenset(), frozenset()), "pipeline")
