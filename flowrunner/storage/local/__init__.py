"""The embedded backend: one SQLite database for what happens, files for the last good flows."""
