"""Chaos: the county's month on the cluster while everything in it is killed with -9, and what must be true after it."""
