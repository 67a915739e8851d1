"""Every Python block and every console command of the documents is executed.

CONTRIBUTING.md, "Examples in documents", has the rules for authors.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.documents.blocks import find_pages, name_of_page
from support.documents.session import Session
from support.documents.workspace import PageBlobs, PageWorkspace

from aml_provider.compat import AIRFLOW_V_3_3_PLUS
from aml_provider.operators.pipeline import AzureMLDisablePipelineOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from azurite import Azurite

pytestmark = [
    pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="documents are written for the newest Airflow"),
    pytest.mark.timeout(900),
]

# Each block has a mistake; the page is executed to its end.
MISTAKES = """
~python
import json

number = 1
~

~python
json.dumps(number)
~

~python
from airflow.sdk import DAG

with DAG("without_import", schedule=None):
    AzureMLRunPipelineOperator(task_id="score", pipeline_name="score-files", experiment_name="e")
~

~python
AzureMLDisablePipelineOperator(task_id="retire", pipeline_name="score-files")
~

~python
from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

AzureMLRunPipelineOperator(task_id="score", pipeline_name="score-filse", experiment_name="e")
~

~python
def never_called():
    return 1
~

~console
$ python -m aml_provider pipelines shw score-files
~

~console
$ python -m aml_provider pipelines show score-files -o json | jq -r .id
10000000-0000-4000-8000-000000000002
~

~console
$ export AIRFLOW_CONN_AZUREML_DEFAULT='{"conn_type": "azureml", "extra": {"endpiont": "http://127.0.0.1:8700"}}'
~

~python
import pytest


def test_it(azureml_workspace):
    assert azureml_workspace.runs()
~

<!-- test
assert number == 2
-->
"""


@pytest.fixture(scope="session")
def logged_azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Azurite, Path]]:
    """A blob service of the documents' own, with its log, which shows who has listed a folder."""
    from azurite import Azurite

    log = tmp_path_factory.mktemp("azurite") / "log"
    with Azurite(log=log) as running:
        yield running, log


@pytest.fixture
def blobs(logged_azurite: tuple[Azurite, Path]) -> Iterator[PageBlobs]:
    with PageBlobs(logged_azurite[0]) as container:
        yield container


@pytest.fixture
def workspace(blobs: PageBlobs, monkeypatch: pytest.MonkeyPatch) -> Iterator[PageWorkspace]:
    with PageWorkspace(blobs) as running:
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(running.connection()))
        monkeypatch.setenv("AIRFLOW__AZUREML__LOOKUP_GRACE", "1")
        yield running


@pytest.fixture
def without_memory(airflow_db: None) -> None:
    """Forget what an earlier page's sensors have seen: DAGs of two pages may have the same name."""
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session

    with create_session() as session:
        session.query(Variable).filter(Variable.key.startswith("azureml_")).delete(synchronize_session=False)


@pytest.fixture
def execute(
    workspace: PageWorkspace,
    blobs: PageBlobs,
    logged_azurite: tuple[Azurite, Path],
    without_memory: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Path], Session]:
    """Execute a page."""
    from airflow import settings

    for name in ("empty", "page"):
        (tmp_path / name).mkdir()
    # Airflow reads its whole folder of DAGs again for each run of one; it knows those of the page anyway.
    monkeypatch.setattr(settings, "DAGS_FOLDER", str(tmp_path / "empty"))
    azurite, log = logged_azurite
    node, javascript = map(Path, azurite._program)

    def execute(page: Path) -> Session:
        session = Session(
            page,
            tmp_path / "page",
            workspace,
            blobs,
            log=log,
            database=Path(os.environ["AIRFLOW_HOME"], "airflow.db"),
            azurite=(javascript, node),
        )
        session.execute()
        return session

    return execute


@pytest.mark.parametrize("page", find_pages(), ids=name_of_page)
def test_all_blocks_and_commands_of_the_page_work(page: Path, execute: Callable[[Path], Session], record_property):
    session = execute(page)
    record_property("documents", json.dumps(session.counts))
    assert not session.failures, "\n\n".join([f"{name_of_page(page)}.md", *session.failures])


def test_mistakes_are_found(execute: Callable[[Path], Session], tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(MISTAKES.replace("~", "```"))
    failures = execute(page).failures
    expected = [
        r"NameError: name 'json' is not defined\n  .*page.md:9: json.dumps",
        r"DagError: (.|\n)*NameError: name 'AzureMLRunPipelineOperator' is not defined",
        r"DagError: (.|\n)*NameError: name 'AzureMLDisablePipelineOperator' is not defined",
        r"DagError: the DAG run of page_\d+ ended as failed",
        r"PageError: .*nothing later on the page uses \['never_called'\]",
        r"it ended with the code 2, not with 0",
        r"the page shows:\n +10000000-0000-4000-8000-000000000002\nbut this is printed:\n +1.*01",
        r"endpiont: is not a field of this connection",
        r"AssertionError",
        r"the tests of the page:\n(.|\n)*assert \[\]",
    ]
    assert len(failures) == len(expected), "\n\n".join(failures)
    for failure, pattern in zip(failures, expected, strict=True):
        assert re.search(pattern, failure), failure
    # Otherwise the tasks of later tests would be in the DAG of a block that failed.
    assert AzureMLDisablePipelineOperator(task_id="later", pipeline_id="quick").has_dag() is False
