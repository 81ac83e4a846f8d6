"""Where alerts go: each service's own form of a message, and the one way in which all are delivered.

A sink is a class with the `Sink` protocol (sink.py) in a file of its own, its settings in settings/alerts.py, and its
lines in choosing.py: `NAMES` and `sinks_of`. delivery_thread.py and outbox.py deliver for all.
"""
