"""The floors: the least that must be done for a figure, written as plainly and fast as it goes. Product code is not used here."""
