"""What was heard of the work: the evidence of the scores (考核依据)."""
