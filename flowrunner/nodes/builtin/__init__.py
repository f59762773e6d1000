"""The built-in node types, one module per type, unaware of each other."""
