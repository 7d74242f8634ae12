"""Households and divisions as the funds service knows them: a projection of the registry's events, never written otherwise."""
