"""The operating system behind Protocols: clock, identifiers, files, processes, watcher, systemd.

What is here is injected everywhere else, so that tests and the simulation can take its place.
"""
