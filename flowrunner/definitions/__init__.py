"""From file to flow: the strict reader, the schema, the compiler, the diagnostics."""
