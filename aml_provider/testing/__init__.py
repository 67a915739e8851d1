"""The objects of the pytest plugin: a local workspace, and blobs in Azurite."""
