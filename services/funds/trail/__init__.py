"""The trail (追溯): from a fund down to each household, from a household up to its funds, and the gaps between them."""
