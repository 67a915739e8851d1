"""The Azure Machine Learning v1 workspace REST API, without Airflow."""
