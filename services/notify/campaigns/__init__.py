"""The weekly prompt and the reminder, by the clock (每周提示与催报)."""
