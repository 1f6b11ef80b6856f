"""Online: the decoding loop, the engines it runs on, and the HTTP service."""
