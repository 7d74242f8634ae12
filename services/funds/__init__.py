"""Funds (资金): the money and its proof.

Owns: sources, projects and their approvals, publicity, payees, tranches, the ledger (every fen that moved) and its signed log.
Emits: funds.fund_received.v1, funds.fund_allocated.v1, funds.tranche_paid.v1.
Hears: registry.division_recorded.v1, registry.household_recorded.v1, …identified.v1, …exited.v1 (its projection of households).
"""
