"""Mutants: each protection is turned off in turn in a copy of the code, and the test named for it must fail by an assertion."""
