"""Divisions (行政区划): the county, its towns and villages, with the time they were valid."""
