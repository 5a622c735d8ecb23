"""Tokens, sign-in, the sample workspace, and the checks of the doctor."""
