"""Looks (查阅记录): who looked at whom, kept before the answer is given, and asked by who answers for it. All services use this one"""
