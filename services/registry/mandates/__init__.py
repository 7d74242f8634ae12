"""Mandates (授权): who may act for whom in his absence (代理), and which auditors may read what, and how long (审计项目)"""
