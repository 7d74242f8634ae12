"""What comes back: reports, opt-outs, unknown numbers (回复)."""
