"""A generated county: files as a county office would hand them in, over the published figures of Pingli (平利县) 2016.

Households and people of every pathway and sub-category are exactly the published ones (policy-rules.md 7.1); who these
people are, and everything else of the county, is ours and marked so in the files. Nobody here exists: identity numbers
lie in an area that no place has, bank cards and phones in blocks that no bank and no operator gives out.
"""

from demo.county.generate import generate
from demo.county.model import Cadre, County, Household, Measure, Payee, Person

__all__ = ["Cadre", "County", "Household", "Measure", "Payee", "Person", "generate"]
