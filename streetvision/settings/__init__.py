"""Every setting, declared once, and where its value comes from.

A setting is one field made by `declare` in settings.py, or in network.py, model.py or alerts.py for what these hold:
flag, names in the environment, help and parser (parsing.py). Flags, miner.env.example and docs/settings.md follow from
it (`make docs`). official.py says what becomes of the official miner's names.
"""
