"""Proofs (存证): a signed Merkle log over the ledger's entries, bundles that check offline, and the verifier."""
