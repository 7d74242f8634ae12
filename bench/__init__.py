"""Measurements (测量): every figure beside its floor, measured in the same run. `make bench`, or `python -m bench postings relay`."""
