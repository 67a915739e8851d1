"""Every Python block and every console command of the documents is executed.

CONTRIBUTING.md, "Examples in documents", has the rules for authors.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.documents.blocks import find_pages, name_of_page
from support.documents.session import Session
from support.documents.workspace import PageBlobs, PageWorkspace

from aml_provider.compat import AIRFLOW_V_3_3_PLUS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from azurite import Azurite

pytestmark = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="documents are written for the newest Airflow")


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


@pytest.mark.usefixtures("without_memory")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", find_pages(), ids=name_of_page)
def test_all_blocks_and_commands_of_the_page_work(
    page: Path,
    workspace: PageWorkspace,
    blobs: PageBlobs,
    logged_azurite: tuple[Azurite, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property,
):
    from airflow import settings

    # Airflow reads its whole folder of DAGs again for each run of one; it knows those of the page anyway.
    for name in ("empty", "page"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(settings, "DAGS_FOLDER", str(tmp_path / "empty"))
    azurite, log = logged_azurite
    node, javascript = map(Path, azurite._program)
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
    record_property("documents", json.dumps(session.counts))
    assert not session.failures, "\n\n".join([f"{name_of_page(page)}.md", *session.failures])
