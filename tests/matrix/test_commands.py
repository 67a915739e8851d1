"""Airflow's own commands name what the package brings."""

from __future__ import annotations

import json

HOOK = "aml_provider.hooks.azure_ml.AzureMLHook"


def test_the_provider_is_listed(world):
    assert "airflow-provider-azureml" in {row["package_name"] for row in world.table("providers", "list")}


def test_its_hook_is_listed(world):
    (row,) = [row for row in world.table("providers", "hooks") if row["connection_type"] == "azureml"]
    assert row["class"] == HOOK


def test_its_link_is_listed(world):
    rows = world.table("providers", "links")
    assert "aml_provider.links.AzureMLPipelineRunLink" in {row["extra_link_class_name"] for row in rows}


def test_its_triggers_are_listed(world):
    assert "aml_provider.triggers.pipeline" in json.dumps(world.table("providers", "triggers"))


def test_its_options_are_listed(world):
    assert "airflow-provider-azureml" in json.dumps(world.table("providers", "configs"))


def test_its_plugin_is_listed(world):
    assert "azureml" in {row["name"] for row in world.table("plugins")}


def test_the_connection_can_be_tested(world):
    output = world.command("connections", "test", "azureml_default")
    assert "success" in output.lower()
