"""What Airflow's discovery reads: it fits Airflow's schema, and everything that it names is there."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from importlib.metadata import distribution, entry_points
from pathlib import Path
from xml.etree import ElementTree as ET

import airflow
import jsonschema
import pytest
from packaging.version import Version

from aml_provider import __version__
from aml_provider.client.settings import AUTH_METHODS, CLOUDS
from aml_provider.connection import CONN_TYPE, read_settings
from aml_provider.get_provider_info import get_provider_info
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.links import AzureMLPipelineRunLink

PACKAGE = Path(importlib.import_module("aml_provider").__file__).parent
INFO = get_provider_info()
(CONNECTION,) = INFO["connection-types"]
AIRFLOW = tuple(map(int, airflow.__version__.split(".")[:2]))
OLD_FORM = AIRFLOW < (3, 0)
ROOT = PACKAGE.parent
NEWEST_SCHEMA = pytest.mark.skipif(
    AIRFLOW < (3, 2), reason="Airflow's schema has all keys and tags that we use since 3.2"
)


def airflows_schema(name):
    return json.loads((Path(airflow.__file__).parent / f"{name}.schema.json").read_text())


def listed(kind):
    return [module for group in INFO[kind] for module in group["python-modules"]]


def base_names(path):
    """The names of the classes that a file's classes are built on."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            yield from (base.id for base in node.bases if isinstance(base, ast.Name))


def test_the_provider_info_fits_airflows_schema():
    jsonschema.validate(INFO, airflows_schema("provider_info"))


@NEWEST_SCHEMA
def test_it_also_fits_the_stricter_schema_of_airflows_own_providers():
    """It knows every key that a registry reads, and allows no other."""
    of_the_release = {"state": "ready", "source-date-epoch": 0}
    jsonschema.validate({**INFO, **of_the_release}, airflows_schema("provider.yaml"))


def test_registries_find_the_version_the_guides_and_the_logo():
    assert INFO["versions"] == [__version__]
    (integration,) = INFO["integrations"]
    guides = [path for path in integration["how-to-guide"] if path.startswith("/docs/")]
    assert guides == integration["how-to-guide"]
    for path in [*guides, integration["logo"]]:
        assert (ROOT / path.removeprefix("/")).is_file()


def test_the_logo_stands_alone():
    """A registry shows it from its own address, under its own rules for scripts."""
    (integration,) = INFO["integrations"]
    logo = (ROOT / integration["logo"].removeprefix("/")).read_text()
    assert ET.fromstring(logo).get("viewBox") == "0 0 128 128"
    assert not re.findall(r"script|href|url\(|https?://(?!www\.w3\.org/2000/svg\")", logo)


def test_the_provider_info_is_found_under_the_distributions_name():
    found = [point for point in entry_points(group="apache_airflow_provider") if point.value.startswith("aml_provider")]
    assert [point.load()() for point in found] == [INFO]
    assert [point.dist.name for point in found] == [INFO["package-name"]]
    assert distribution(INFO["package-name"]).version == __version__


# In a process of its own: what discovery found stays there, and Airflow 2's form builder warns of its own libraries.
DISCOVERY = """
import json
from airflow.providers_manager import ProvidersManager

manager = ProvidersManager()
hook = manager.hooks["azureml"]
forms = getattr(manager, "connection_form_widgets", {}) if OLD_FORM else {}
print("FOUND", json.dumps({
    "class": hook.hook_class_name,
    "name": hook.hook_name,
    "argument": hook.connection_id_attribute_name,
    "testable": hook.connection_testable,
    "widgets": [name for name, widget in forms.items() if widget.package_name == hook.package_name],
}))
"""


def test_airflow_discovers_the_hook_and_on_airflow_2_its_form():
    code = DISCOVERY.replace("OLD_FORM", str(OLD_FORM))
    command = [sys.executable, "-W", "ignore", "-c", code]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("FOUND ")[1])
    assert found["class"] == CONNECTION["hook-class-name"]
    assert found["name"] == AzureMLHook.hook_name
    assert found["argument"] == AzureMLHook.conn_name_attr
    assert found["testable"]
    fields = [f"extra__azureml__{name}" for name in CONNECTION["conn-fields"]] if OLD_FORM else []
    assert sorted(found["widgets"]) == sorted(fields)


def test_reading_it_imports_nothing_of_weight():
    code = (
        "import sys; before = set(sys.modules); import aml_provider.get_provider_info as module; "
        "module.get_provider_info(); "
        "heavy = {'airflow', 'httpx', 'azure'}; "
        "print(sorted(name for name in set(sys.modules) - before if name.split('.')[0] in heavy))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    "module", [name for kind in ("hooks", "operators", "sensors", "triggers") for name in listed(kind)]
)
def test_every_module_that_it_names_is_there(module):
    assert importlib.import_module(module).__doc__


@pytest.mark.parametrize(
    ("kind", "bases"),
    [
        # The hook is put together of the methods for each noun.
        ("hooks", {"PipelineMethods"}),
        ("operators", {"BaseOperator", "DeferringOperator"}),
        ("sensors", {"PollingSensor"}),
        ("triggers", {"BaseTrigger", "AssetWatcherTrigger", "SensorTrigger"}),
    ],
)
def test_every_module_with_a_hook_operator_sensor_or_trigger_is_named(kind, bases):
    ours = {
        f"aml_provider.{kind}.{path.stem}" for path in (PACKAGE / kind).glob("*.py") if bases & set(base_names(path))
    }
    # The base of others is not an operator or trigger by itself.
    assert set(listed(kind)) == ours - {"aml_provider.operators.deferring", "aml_provider.triggers.sensor"}


def test_the_decorator_is_found_by_its_name_and_is_loaded_only_then():
    """In a process of its own, as discovery stays there."""
    code = """
import sys
try:
    from airflow.sdk import task
except ImportError:
    from airflow.decorators import task
import aml_provider.operators.pipeline
assert "aml_provider.decorators.pipeline" not in sys.modules
found = task.azureml_pipeline
from aml_provider.decorators.pipeline import azureml_pipeline_task
print("FOUND", found is azureml_pipeline_task)
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.split("FOUND ")[1].strip() == "True"
    (decorator,) = INFO["task-decorators"]
    module, _, name = decorator["class-name"].rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))


def test_every_class_that_it_names_is_there():
    assert [link.rpartition(".")[2] for link in INFO["extra-links"]] == [AzureMLPipelineRunLink.__name__]
    for name in [CONNECTION["hook-class-name"], *INFO["extra-links"]]:
        module, _, attribute = name.rpartition(".")
        assert isinstance(getattr(importlib.import_module(module), attribute), type)


def test_every_option_was_added_in_a_version_that_exists():
    for option in INFO["config"]["azureml"]["options"].values():
        assert Version(option["version_added"]).release <= Version(__version__).release


def test_every_integration_is_one_of_ours():
    names = {item["integration-name"] for item in INFO["integrations"]}
    for kind in ("hooks", "operators", "sensors", "triggers"):
        assert {group["integration-name"] for group in INFO[kind]} <= names


def test_the_hook_says_the_same_about_itself():
    assert AzureMLHook.conn_type == CONNECTION["connection-type"] == CONN_TYPE
    assert AzureMLHook.hook_name == CONNECTION["hook-name"]
    assert AzureMLHook.default_conn_name == "azureml_default"
    assert AzureMLHook.conn_name_attr == "azureml_conn_id"
    behaviour = AzureMLHook.get_ui_field_behaviour()
    assert behaviour["hidden_fields"] == CONNECTION["ui-field-behaviour"]["hidden-fields"]
    assert behaviour["relabeling"] == CONNECTION["ui-field-behaviour"]["relabeling"]
    assert behaviour["placeholders"] == CONNECTION["ui-field-behaviour"]["placeholders"]


def test_every_field_that_is_shown_has_a_placeholder():
    """And no other: Airflow 2's form stops at a placeholder without a field."""
    behaviour = CONNECTION["ui-field-behaviour"]
    shown = {"login", "password", "schema", "host", "port"} - set(behaviour["hidden-fields"])
    assert set(behaviour["placeholders"]) == shown | set(CONNECTION["conn-fields"])
    assert all(behaviour["placeholders"].values())
    for name, field in CONNECTION["conn-fields"].items():
        if "enum" in field["schema"]:
            assert behaviour["placeholders"][name] == field["schema"]["default"]


def test_every_field_of_the_form_is_read_and_none_is_missing():
    """A field that nobody reads, or that the form lacks, would be found out by a user."""
    source = (PACKAGE / "connection.py").read_text()
    named = {
        node.args[0].value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, (ast.Name, ast.Attribute))
        and getattr(node.func, "id", getattr(node.func, "attr", "")) in {"text", "get", "_flag"}
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert set(CONNECTION["conn-fields"]) == named - {"Scope", "azureml"}


def test_an_untouched_form_is_the_default_connection():
    workspace = {"subscription_id": "s", "resource_group": "r", "workspace_name": "w"}
    form = {name: field["schema"].get("default") for name, field in CONNECTION["conn-fields"].items()}
    assert read_settings(login=None, password=None, extra={**form, **workspace}) == read_settings(
        login=None, password=None, extra=workspace
    )


def test_secrets_are_masked_in_the_form():
    formats = {name: field["schema"].get("format") for name, field in CONNECTION["conn-fields"].items()}
    assert {name for name, kind in formats.items() if kind == "password"} == {"certificate_password"}


@pytest.mark.parametrize("field", CONNECTION["conn-fields"].values(), ids=list(CONNECTION["conn-fields"]))
def test_every_field_is_optional_and_described(field):
    assert "null" in field["schema"]["type"]
    assert field["label"]
    assert field["description"].endswith((".", ")"))


@pytest.mark.skipif(not OLD_FORM, reason="Airflow 3 builds the form from conn-fields")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Airflow 2's form builder, of its own libraries
def test_the_form_of_airflow_2_has_the_same_fields():
    from wtforms import BooleanField, Form, PasswordField, StringField

    widgets = AzureMLHook.get_connection_form_widgets()
    assert list(widgets) == list(CONNECTION["conn-fields"])
    form = type("ConnectionForm", (Form,), widgets)()
    kinds = {name: type(form[name]) for name in widgets}
    assert kinds.pop("allow_http") is BooleanField
    assert kinds.pop("certificate_password") is PasswordField
    assert set(kinds.values()) == {StringField}
    for name, field in CONNECTION["conn-fields"].items():
        assert form[name].label.text == field["label"]
        assert form[name].description.endswith(field["description"])
        assert form[name](), "it renders"
    assert "<textarea" in form["config_json"]()
    assert "client_secret" in form["auth_method"].description


def test_the_form_offers_what_the_settings_accept():
    fields = CONNECTION["conn-fields"]
    assert fields["auth_method"]["schema"]["enum"] == list(AUTH_METHODS)
    assert fields["cloud"]["schema"]["enum"] == list(CLOUDS)


@pytest.mark.parametrize("name", list(INFO["config"]["azureml"]["options"]))
def test_every_option_is_read_with_the_default_that_it_says(name):
    option = INFO["config"]["azureml"]["options"][name]
    fallbacks = [
        ast.unparse(keyword.value)
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and [getattr(argument, "value", None) for argument in node.args[:2]] == ["azureml", name]
        for keyword in node.keywords
        if keyword.arg == "fallback"
    ]
    assert fallbacks, "nobody reads it"
    kind = float if option["type"] == "float" else str
    for fallback in fallbacks:
        default = ast.literal_eval(fallback)
        assert default == (None if option["default"] is None else kind(option["default"]))


def test_the_form_lets_a_port_be_stored_that_the_test_button_needs():
    """Airflow 3.3.2 posts 0 for an empty port, and refuses to test what differs from the stored one."""
    behaviour = CONNECTION["ui-field-behaviour"]
    assert "port" not in behaviour["hidden-fields"]
    assert "0" in behaviour["placeholders"]["port"]
