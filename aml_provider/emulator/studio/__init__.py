"""Pages for people, like those of Azure ML studio."""
