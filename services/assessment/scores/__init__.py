"""Scores of towns and cadres, each explained to the event (考核得分)."""
