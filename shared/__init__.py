"""The kit every service stands on: contracts, bus, outbox and inbox, databases, sign-in, personal data, clock, money, policies.

The kit imports no service. Modules that domains use (errors, scope, clock, money, policy) import no framework.
"""
