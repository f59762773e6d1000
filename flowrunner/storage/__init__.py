"""Where state lives: protocols, a factory by name, one package per backend."""
