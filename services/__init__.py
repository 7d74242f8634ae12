"""The four services, and the composition roots that run them."""
