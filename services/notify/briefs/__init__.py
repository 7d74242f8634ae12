"""The week's key tasks (本周重点工作)."""
