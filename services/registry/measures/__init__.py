"""Measures (帮扶措施): what help a household gets, on which of the county's pathways (脱贫路径)."""
