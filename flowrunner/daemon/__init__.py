"""The composition root: where everything is constructed, started and stopped."""
