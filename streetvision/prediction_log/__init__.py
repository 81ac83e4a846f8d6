"""What the miner saw and answered, kept on disk: rows in SQLite, images as files named by their content."""
