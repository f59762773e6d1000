"""HTTP over the service: two listeners from the same parts, and the server they run on."""
