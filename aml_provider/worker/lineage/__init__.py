"""The lineage of tasks. OpenLineage calls this package in the worker's process, usually in a fork of that.

Only this package and :mod:`aml_provider.assets` import OpenLineage, and nothing imports this package unless OpenLineage
asks an operator or sensor for its facets. A fork shares the worker's connection to Airflow, so nothing here calls
Airflow: no connection, Variable or XCom is read, and no secret is sent to be masked.
"""
