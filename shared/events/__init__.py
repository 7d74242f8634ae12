"""The event contracts: what each service says happened, for the others to hear.

One module a producing service. pydantic models are the source; `schemas/` and `examples/` are generated and committed
(`python -m shared.events write`), `released/` is written only by a release. See docs/events.md.
"""
