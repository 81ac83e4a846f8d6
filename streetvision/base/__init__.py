"""What every room stands on: disk, SQLite, histograms, logs, wording, the state folder."""
