"""The registry (建档立卡): who lives where, who is poor and why, which help they get, and how they came and left.

Owns: divisions, households and their people (names, ID numbers), cases, measures, visits, imports of all of these.
Emits: DivisionRecorded, HouseholdRecorded, HouseholdIdentified, HouseholdExited, MeasureChanged, VisitRecorded.
Hears: nothing.
"""
