"""The status page: one self-contained HTML document, drawn from a snapshot by pure functions."""
