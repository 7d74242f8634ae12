"""Who gets the SMS and under which number (收信人)."""
