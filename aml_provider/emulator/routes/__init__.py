"""HTTP in and out; the rules are in ``aml_provider.emulator.workspace.workspace``."""
