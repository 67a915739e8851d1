"""The workspace's own rules, without HTTP."""
