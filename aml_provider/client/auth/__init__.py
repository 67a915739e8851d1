"""Sign-in: credentials for each ``auth_method``, their tokens, and why one was refused."""
