"""Apache Airflow provider for Azure Machine Learning: published pipelines (v1) and pipeline components (v2).

PYTEST_DONT_REWRITE: pytest would warn if this package is imported before its plugin is.
"""

__version__ = "1.0.0rc1"
