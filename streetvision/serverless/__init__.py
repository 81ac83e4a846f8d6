"""The model at Modal, on GPUs rented by the second: app, transport, spending cap, deployment."""
