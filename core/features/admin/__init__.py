"""Tokens, sign-in, the sample workspace and the doctor."""
