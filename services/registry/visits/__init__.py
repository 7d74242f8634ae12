"""Visits (走访): which cadre was at which household, on which day."""
