"""The SMS of the command post (短信提示): contacts, the weekly prompt and its reminder, what comes back.

Owns: phones, briefs, prompts, reports. Emits: notify.prompt_sent.v1, notify.report_received.v1, notify.report_missed.v1.
Hears: assessment.cadre_appointed.v1 (who holds which post), registry.division_recorded.v1 (names of places).
"""
