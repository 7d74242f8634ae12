"""Step 4"""
