"""Sign-in: a credential for each ``auth_method``, its tokens, and the reasons of refusals."""
