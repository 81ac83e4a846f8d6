"""The monthly bill: of machines, rented cards, Modal and Kubernetes, by measured speeds, traffic and dated prices."""
