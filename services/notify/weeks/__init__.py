"""The week: its id, its moments, and how it went (周)."""
