"""HTTP around the routes: who may call, faults, quirks, the request log."""
