"""Approvals (审批): the control chain of projects and tranches, read from the policy pack; who decided what, append-only."""
