"""API keys: what each may do, the file they are kept in, and the guard that asks for them."""
