"""Files bundled with the package: the embedded default checkpoint."""
