"""Which offices send the registry its files."""

from shared.roles import Role

REGISTRARS = (Role.COUNTY_ADMIN, Role.STATISTICS, Role.TOWN_OFFICE)
"""Registration is the statistics bureau's and the towns' (REG-006, REG-005), not the poverty office's."""

HELPERS = (Role.COUNTY_ADMIN, Role.POVERTY_OFFICE, Role.TOWN_OFFICE, Role.STATISTICS)
"""Measures come from the poverty office and the towns; the statistics bureau may enter what it finds."""
