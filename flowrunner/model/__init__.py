"""Pure values and arithmetic: no input or output, no clock, no logging, no event loop."""
