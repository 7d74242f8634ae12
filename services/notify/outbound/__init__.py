"""Prompts on their way to the gateway (短信发送)."""
