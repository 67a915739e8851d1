"""Airflow with teams ([core] multi_team): no team changes what another one has stored."""

from __future__ import annotations

import pytest
from airflow.models.variable import Variable
from airflow.utils.session import create_session

from aml_provider import compat
from aml_provider.durable.identity import Deployment
from aml_provider.state.deployment import DEPLOYMENT_VARIABLE, this_deployment
from aml_provider.stored import StorageError

pytestmark = pytest.mark.skipif(not hasattr(Variable, "team_name"), reason="this Airflow has no teams")


@pytest.fixture
def of_team(monkeypatch):
    """Read and write Variables as Airflow's API server does for a task of this team."""
    from airflow.models.team import Team
    from sqlalchemy import delete

    def forget():
        with create_session() as session:
            session.execute(delete(Variable).where(Variable.key == DEPLOYMENT_VARIABLE))
            session.execute(delete(Team).where(Team.name.in_(["blue", "red"])))

    class OfTeam:
        name: str | None = None

        @classmethod
        def get(cls, key, default=None):
            return Variable.get(key, default, team_name=cls.name)

        @classmethod
        def set(cls, key, value, description=None):
            Variable.set(key, value, description, team_name=cls.name)

        @classmethod
        def keys(cls, prefix):
            with create_session() as session:
                query = session.query(Variable.key).filter(Variable.key.startswith(prefix))
                query = query if cls.name is None else query.filter(Variable.team_name == cls.name)
                return [key for (key,) in query]

    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    monkeypatch.setattr(compat, "Variable", OfTeam, raising=False)
    forget()
    with create_session() as session:
        session.add_all([Team(name="blue"), Team(name="red")])
    yield lambda name: setattr(OfTeam, "name", name)
    forget()


def test_no_team_renames_the_airflow_of_another_team(of_team):
    of_team("blue")
    compat.Variable.set(DEPLOYMENT_VARIABLE, "named-by-blue")
    of_team("red")
    with pytest.raises(StorageError, match=r"\[azureml\] deployment_id"):
        this_deployment()
    of_team("blue")
    assert this_deployment().name == "named-by-blue"


def test_no_random_name_is_made_that_other_teams_could_not_read(of_team):
    of_team("blue")
    with pytest.raises(StorageError, match=r"teams .*Set the option \[azureml\] deployment_id"):
        this_deployment()
    assert compat.Variable.get(DEPLOYMENT_VARIABLE) is None


def test_a_name_that_belongs_to_no_team_is_for_all(of_team):
    of_team(None)
    compat.Variable.set(DEPLOYMENT_VARIABLE, "ours")
    of_team("red")
    assert this_deployment().name == "ours"


def test_a_configured_name_is_for_all_teams(of_team, monkeypatch):
    monkeypatch.setenv("AIRFLOW__AZUREML__DEPLOYMENT_ID", "production")
    of_team("red")
    assert this_deployment() == Deployment("production")
