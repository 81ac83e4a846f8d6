"""The services that alerts are sent to: each one's form of a message, and one way to deliver them all."""
