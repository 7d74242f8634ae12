"""Months and weeks of assessment (考核周期)."""
