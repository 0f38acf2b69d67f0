"""MiniWoB++: small web pages played through plan, critique and one grounded instruction at a time."""
