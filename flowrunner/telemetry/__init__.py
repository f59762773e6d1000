"""What FlowRunner tells about itself and its attempts: logs and metrics."""
