"""The command line: what a person or a script types, and what they read back."""
