"""The pages of Airflow 3.3 that the documents show, in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

# A connection as a reader fills it in; none of these ids exists.
_CONNECTION = {
    "subscription_id": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "resource_group": "ml-group",
    "workspace_name": "my-workspace",
    "region": "westeurope",
    "tenant_id": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
}


class AirflowPages:
    """Opens pages of an Airflow, and returns when they show what the documents describe.

    Args:
        url: Its address.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def open_graph(self, page: Page, dag_id: str, dag_run_id: str) -> None:
        """The graph of a DAG run, with the states of its tasks."""
        page.add_init_script("localStorage.setItem('default_dag_view', '\"graph\"')")
        page.goto(f"{self._url}/dags/{dag_id}/runs/{dag_run_id}")
        # The states arrive after the tasks.
        expect(page.get_by_test_id("rf__node-wait_for_files")).to_contain_text("success")
        page.get_by_role("button", name="Fit View").click()
        page.mouse.move(0, 0)

    def open_log(self, page: Page, dag_id: str, dag_run_id: str, task_id: str, map_index: int) -> None:
        """The log of a mapped task's latest try, which has failed, from its error on."""
        page.goto(f"{self._url}/dags/{dag_id}/runs/{dag_run_id}/tasks/{task_id}/mapped/{map_index}")
        # The page first scrolls to the end by itself.
        expect(page.get_by_text("Post Execute").last).to_be_in_viewport()
        page.get_by_text("RunFailed").first.evaluate("error => error.scrollIntoView({block: 'start'})")

    def fill_in_connection(self, page: Page) -> Locator:
        """The form of a new connection, filled in and not saved; returns its last field that is filled in."""
        page.goto(f"{self._url}/connections")
        page.get_by_role("button", name="Add Connection").click()
        form = page.get_by_role("dialog")
        form.get_by_label("Connection ID").fill("azureml_default")
        kind = form.get_by_role("combobox").first
        kind.press_sequentially("Azure Machine Learning")
        kind.press("Enter")
        form.get_by_label("Client id").fill("7d6a1c3e-2b4f-4e0a-9c5d-8f1e2a3b4c5d")
        form.get_by_label("Client secret or token").fill("not a real secret")
        form.get_by_role("button", name="Extra Fields", exact=True).click()
        for name, value in _CONNECTION.items():
            form.locator(f"#element_{name}").fill(value)
        method = form.get_by_label("Authentication").first
        method.press_sequentially("client_secret")
        method.press("Enter")
        method.blur()
        return form.locator("#element_tenant_id")
