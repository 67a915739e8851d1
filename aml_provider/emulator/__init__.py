"""A local Azure Machine Learning workspace with the REST APIs of v1 and v2: ``python -m aml_provider.emulator``."""
