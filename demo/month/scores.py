"""Step 6"""
