"""Delivery of messages to other systems: checked addresses, webhooks, e-mail, and how far each channel has come."""
