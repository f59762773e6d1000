"""The commands, a module each, named as it is typed: `add_arguments` and `execute`.

`flowrunner.cli.main` imports the one that was asked for and no other, since start-up time is a
budget. What a command takes from the daemon's code it imports late for the same reason; such
collaborators are parameters, so that a test can give its own.
"""
