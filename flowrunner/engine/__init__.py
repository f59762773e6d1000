"""Carries executions: admission, the walk of the graph, attempts, the end, recovery."""
