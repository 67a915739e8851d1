"""A local Azure Machine Learning workspace that speaks the v1 REST API: ``python -m aml_provider.emulator``."""
