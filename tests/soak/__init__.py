"""The cluster under steady mixed load for minutes: does anything grow that should not? `make soak`; results in bench/soak.json.

One file a concern: `load` (who asks for what, how often), `watch` (what is sampled while they do), `trend` (is a series flat),
`growth` (may a table grow), `judge` (what must hold at the end), `report` (the section of docs/reliability.md).
"""
