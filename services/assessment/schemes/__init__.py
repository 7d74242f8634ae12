"""The assessment scheme in force and the weight of poverty work (考核方案、权重)."""
