"""The ledger (总账): double entry, one book a county, entries linked into a chain, written in groups by one writer a process."""
