"""Pages for people, in the place of Azure ML studio."""
