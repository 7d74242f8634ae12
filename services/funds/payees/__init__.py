"""Payees (收款账户): the account each household is paid to, imported, sealed, found by its blind index, shown masked."""
