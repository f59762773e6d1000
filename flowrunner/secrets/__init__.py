"""Where secret values come from, the type that carries them, and masking them in output."""
