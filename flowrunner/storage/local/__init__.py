"""The embedded backend: one SQLite database for what happens, plain files for definitions."""
