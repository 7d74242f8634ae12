"""Tranches (拨付批次): money of a project shared out to households, published, approved, held, and paid in one entry."""
