"""Sources of money (资金来源): the funds of a county by level, and the receipts that fill them."""
