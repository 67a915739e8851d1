"""The rehearsal of a release: everything up to the upload, and a list of what is wrong."""
