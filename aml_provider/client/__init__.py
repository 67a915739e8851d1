"""The REST APIs of an Azure Machine Learning workspace (v1 and v2), without Airflow."""
