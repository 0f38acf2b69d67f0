"""Code that two or more tasks share: browsers, sandboxes, Wikipedia and recorded web answers."""
