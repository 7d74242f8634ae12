"""Publicity (公示): what must stand on the board, for how long, before money may move; objections (异议) and their answers."""
