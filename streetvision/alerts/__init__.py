"""When and how the operator is told."""
