"""Apache Airflow provider for Azure Machine Learning published pipelines (v1)."""

__version__ = "0.1.0"
