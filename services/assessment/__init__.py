"""The assessment of towns and cadres (考核): who holds which post, what happened, which points it gives, explained to the event.

Owns: the directory, evidence and its withdrawals, targets, scores. Households are never scored.
Emits: assessment.cadre_appointed.v1, assessment.score_published.v1.
Hears: divisions, households, visits (registry), allocations and payments (funds), reports (notify); see consumers.py.
"""
