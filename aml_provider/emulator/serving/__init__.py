"""The HTTP layers around the routes: access, faults, quirks, the request log."""
