"""The command line: ``airflow azureml …`` on Airflow 3.2 and later, ``python -m aml_provider …`` on all."""
