"""Who holds which post (干部名录)."""
