"""Where alerts go: each service's own form of a message, and the one way in which all are delivered."""
