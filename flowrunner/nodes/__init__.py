"""What a node can do: the `Node` protocol, the registry of types, the built-in types."""
