"""Desired to observed: read the source, plan the difference, apply it in one turn."""
