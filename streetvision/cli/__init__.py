"""The streetvision command line: one file per command group, no logic of its own.

A command is a function in its group's file, or a file of its own and an entry in commands.py, which knows every name
and imports none of them until it runs.
"""
