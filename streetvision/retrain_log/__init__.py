"""What retraining did and decided, kept in one SQLite file that status, page and alerts read."""
