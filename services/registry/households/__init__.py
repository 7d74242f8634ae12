"""Households (户) and their people (家庭成员): the file as it is, as it was, and as it was known."""
