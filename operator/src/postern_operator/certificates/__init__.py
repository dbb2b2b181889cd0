"""The webhook's certificates: building them, deciding about rotation, serving with them."""
