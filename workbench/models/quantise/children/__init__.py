"""What runs under the Python of a method's own environment. Imports the standard library and that environment only."""
