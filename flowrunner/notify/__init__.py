"""Tells people and other programs what happens to flows."""
