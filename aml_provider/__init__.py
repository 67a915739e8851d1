"""Apache Airflow provider for Azure Machine Learning: published pipelines (v1) and pipeline components (v2)."""

__version__ = "1.0.0rc1"
