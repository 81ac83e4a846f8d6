"""The miner's state as one snapshot: what the terminal view, the page, the report and the API show alike."""
