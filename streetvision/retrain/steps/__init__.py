"""The steps of a run, one file a step or two; table.py puts them in order."""
